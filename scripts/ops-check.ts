/**
 * `npm run ops-check`: lets promtool of Prometheus check the alert rules, run their tests, and check the text of a scrape. It takes the promtool of the
 * `PATH`, and installs none.
 */
import { spawnSync } from 'node:child_process'
import { LeaseManager } from 'leasewheel'
import { MemoryBackend } from 'leasewheel/memory'
import { collect } from 'leasewheel/prometheus'
import { quorum } from 'leasewheel/quorum'
import { Registry } from 'prom-client'

/** The text of a manager on one server, and of one on a quorum. */
async function scrape(): Promise<string> {
  const register = new Registry()
  const single = new LeaseManager(new MemoryBackend())
  const members = [new MemoryBackend(), new MemoryBackend(), new MemoryBackend()]
  const several = new LeaseManager(quorum(members, { restartDelay: 0 }))
  try {
    collect(single, { register, labels: { pool: 'single' }, label: (key) => key })
    collect(several, { register, labels: { pool: 'several' } })
    await Promise.all([single.acquireMany(['a', 'b "c"\n']), several.acquire('a')])
    return await register.metrics()
  } finally {
    await Promise.all([single.close(), several.close()])
  }
}

function runPromtool(input: string, ...words: readonly string[]): boolean {
  const { status, error } = spawnSync('promtool', words, { input, stdio: ['pipe', 'inherit', 'inherit'] })
  if (error) throw error
  return status === 0
}

if (spawnSync('promtool', ['--version'], { stdio: 'ignore' }).error) {
  console.error('There is no promtool: install Prometheus (on Debian `apt-get install prometheus`).')
  process.exitCode = 1
} else {
  const passed = [
    runPromtool('', 'check', 'rules', 'ops/alerts.yaml'),
    runPromtool('', 'test', 'rules', 'ops/alerts.test.yaml'),
    runPromtool(await scrape(), 'check', 'metrics'),
  ]
  if (passed.includes(false)) process.exitCode = 1
}
