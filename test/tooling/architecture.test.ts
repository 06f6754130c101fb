/** The check of the architecture, tried on trees that break it: a check that finds nothing passes every clean tree. */
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { expect } from 'chai'

type Tree = Readonly<Record<string, string>>

/** What the check says of a tree of source files, and whether it accepts it. */
function check(tree: Tree): { readonly passed: boolean; readonly faults: string } {
  const folder = mkdtempSync(join(tmpdir(), 'leasewheel-architecture-'))
  try {
    for (const [name, code] of Object.entries(tree)) {
      mkdirSync(join(folder, dirname(name)), { recursive: true })
      writeFileSync(join(folder, name), code)
    }
    const { status, stderr } = spawnSync(process.execPath, ['--import', 'tsx', 'scripts/architecture.ts', folder], {
      encoding: 'utf8',
    })
    return { passed: status === 0, faults: stderr.trim() }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

describe('the check of the architecture', () => {
  it('accepts an import that runs downwards, and one within a room', () => {
    const tree = {
      'waiting/line.ts':
        "import type { Pause } from './pause.ts'\nimport { now } from '../time/clock.ts'\nexport const line: Pause = now\n",
      'waiting/pause.ts': 'export type Pause = number\n',
      'time/clock.ts': 'export const now = 1\n',
    }
    expect(check(tree)).to.deep.equal({ passed: true, faults: '' })
  })

  for (const [what, code] of [
    ['a type', "import type { Line } from '../waiting/line.ts'\nexport type Clock = Line\n"],
    ['a value', "import { line } from '../waiting/line.ts'\nexport const clock = line\n"],
    ['what it exports again', "export type { Line } from '../waiting/line.ts'\n"],
  ] as const) {
    it(`refuses an import that runs upwards: ${what}`, () => {
      const { passed, faults } = check({
        'time/clock.ts': code,
        'waiting/line.ts': 'export type Line = 1\nexport const line = 1\n',
      })
      expect(faults).to.equal('time/clock.ts imports waiting/line.ts: from time to waiting, upwards')
      expect(passed).to.equal(false)
    })
  }

  it('refuses an arrow that the plan does not have', () => {
    const { faults } = check({
      'waiting/line.ts': "export * from '../lease/lease.ts'\n",
      'lease/lease.ts': 'export {}\n',
    })
    expect(faults).to.include('from waiting to lease, where the plan has no arrow')
  })

  it('refuses a circle, type-only imports included', () => {
    const { faults } = check({
      'lease/lease.ts': "import type { Record } from './record.ts'\nexport type Lease = Record\n",
      'lease/record.ts': "import type { Lease } from './lease.ts'\nexport type Record = Lease\n",
    })
    expect(faults).to.equal('a circle: lease/lease.ts → lease/record.ts → lease/lease.ts')
  })

  it('refuses a file that is in no room', () => {
    expect(check({ 'utils.ts': 'export {}\n' }).faults).to.include('utils.ts is in no room')
  })
})
