/**
 * The memory of what went wrong, elsewhere and here: each bug is put back into the source of a program, and must be found. Some programs run
 * at a time. `docs/properties.md` lists the bugs of other libraries; `test/tooling` compares it with what is here.
 */
import { expect } from 'chai'
import { BUGS_ELSEWHERE, BUGS_HERE } from './bugs.ts'
import { Bundles } from './bundles.ts'
import { patched } from './patches.ts'
import { type Harness, SHORT_SIMULATION } from './regression.ts'
import { search, type Task } from './search.ts'

/** Searches at a time. Some of them mostly wait. */
const LANES = 4

/** All tests that are to find something, in one go. */
function allTests(): Harness {
  const files = new Set<string>()
  const titles = new Set<string>()
  for (const { harness } of [...BUGS_ELSEWHERE, ...BUGS_HERE]) {
    if (harness.type !== 'tests') continue
    for (const file of harness.files) files.add(file)
    titles.add(`(${harness.titles})`)
  }
  return { type: 'tests', files: [...files], titles: [...titles].join('|') }
}

const CLEAN: readonly Task[] = [
  { patches: [], harness: SHORT_SIMULATION },
  { patches: [], harness: allTests() },
]

describe('a bug that is put back', () => {
  let bundles: Bundles
  const tasks: readonly Task[] = [...CLEAN, ...BUGS_ELSEWHERE, ...BUGS_HERE]
  const begun = new Map<Task, Promise<readonly string[]>>()
  const over = new AbortController()
  let running = 0
  /** The place of the next task to begin. */
  let next = 0

  function begin(task: Task): Promise<readonly string[]> {
    const known = begun.get(task)
    if (known) return known
    const findings = search(task, bundles, over.signal)
    begun.set(task, findings)
    running += 1
    const onOver = (): void => {
      running -= 1
      beginMore()
    }
    // A search that broke down is the failure of its own test.
    findings.then(onOver, onOver)
    return findings
  }

  /** All lanes are kept busy: a search that mostly waits delays no other. */
  function beginMore(): void {
    while (running < LANES && next < tasks.length) {
      void begin(tasks[next] as Task)
      next += 1
    }
  }

  function findingsIn(task: Task): Promise<readonly string[]> {
    next = Math.max(next, tasks.indexOf(task) + 1)
    const findings = begin(task)
    beginMore()
    return findings
  }

  before(() => {
    bundles = new Bundles()
  })

  after(async () => {
    next = tasks.length
    over.abort()
    await Promise.allSettled(begun.values())
    bundles.remove()
  })

  for (const task of CLEAN) {
    it(`is absent otherwise: the source gives ${task.harness.type} nothing to find`, async () => {
      expect(await findingsIn(task)).to.deep.equal([])
    })
  }

  for (const [where, bugs] of [
    ['in other libraries', BUGS_ELSEWHERE],
    ['here', BUGS_HERE],
  ] as const) {
    describe(`as it once was ${where}, is found`, () => {
      for (const bug of bugs) {
        it(bug.failure, async () => {
          const findings = await findingsIn(bug)
          expect(findings[0] ?? 'nothing was found').to.match(bug.report)
        })
      }
    })
  }
}).timeout(300_000)

describe('a patch', () => {
  for (const [place, find, file] of [
    ['is gone', 'what nobody has ever written', 'src/time/scheduler.ts'],
    ['is there more than once', 'import ', 'src/lease-manager.ts'],
  ] as const) {
    it(`is refused with the reason if its place in the source ${place}`, () => {
      const apply = (): unknown => patched([{ file, find, replace: '' }])
      expect(apply).to.throw(new RegExp(`fit ${file} any more.* does \\d+ times:\n${find}`))
    })
  }
})
