import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { type QuorumSoakOptions, type QuorumSoakReport, runQuorumSoak } from './quorum-soak.ts'

async function run(options: Partial<QuorumSoakOptions>): Promise<QuorumSoakReport> {
  const directory = mkdtempSync(join(tmpdir(), 'leasewheel-quorum-'))
  try {
    const usual = { duration: 8_000, members: 5, processes: 3, keys: 20, ttl: 1_000, seed: 1, directory }
    return await runQuorumSoak({ ...usual, ...options })
  } finally {
    rmSync(directory, { recursive: true, force: true, maxRetries: 3 })
  }
}

describe('a soak on five servers', () => {
  it('P6 P7 P11 P32 finds nothing while members are killed and come back empty', async () => {
    const { violations, holds, standing, faults } = await run({ leases: 60 })
    expect(violations).to.deep.equal([])
    expect(holds.length).to.be.greaterThan(20)
    expect(standing.keys).to.equal(60)
    expect(faults.restarts).to.be.greaterThan(0)
  }).timeout(180_000)

  it('finds holders that stay for longer than they may', async () => {
    const { violations } = await run({ lie: 'constant fence', duration: 4_000 })
    expect(violations.map(({ property }) => property)).to.include('P6')
  }).timeout(180_000)
})
