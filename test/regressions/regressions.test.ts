/**
 * The memory of what went wrong, elsewhere and here: each bug is put back into a copy of the source, and must be found. Some copies are
 * searched at a time. `docs/properties.md` lists the bugs of other libraries; `test/tooling` compares it with what is here.
 */
import { expect } from 'chai'
import { BUGS_ELSEWHERE, BUGS_HERE } from './bugs.ts'
import { PatchedCopy, patched } from './patched-copy.ts'
import { PlainSource } from './plain-source.ts'
import { type Harness, type Patch, SHORT_SIMULATION } from './regression.ts'
import { Search } from './search.ts'

/** What is to be searched, and by what, in the order in which it is asked about. */
interface Task {
  readonly patches: readonly Patch[]
  readonly harness: Harness
}

/** Copies that are searched at a time: they wait about half of the time. */
const LANES = 3

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
  let source: PlainSource
  const tasks: readonly Task[] = [...CLEAN, ...BUGS_ELSEWHERE, ...BUGS_HERE]
  const begun = new Map<Task, Search>()
  /** Those that are not over. */
  const running = new Set<Search>()
  /** The place of the next task to begin. */
  let next = 0

  function begin(task: Task): Search {
    const known = begun.get(task)
    if (known) return known
    const copy = new PatchedCopy(source, task.patches)
    const search = new Search(copy.folder, task.harness, task.patches.length > 0)
    begun.set(task, search)
    running.add(search)
    const onOver = (): void => {
      running.delete(search)
      copy.remove()
      beginMore()
    }
    search.findings.then(onOver, onOver)
    return search
  }

  /** All lanes are kept busy: a search that mostly waits delays no other. */
  function beginMore(): void {
    while (running.size < LANES && next < tasks.length) {
      const task = tasks[next] as Task
      next += 1
      // A patch that does not fit is the failure of its own test.
      attempt(() => begin(task))
    }
  }

  function findingsIn(task: Task): Promise<readonly string[]> {
    next = Math.max(next, tasks.indexOf(task) + 1)
    const search = begin(task)
    beginMore()
    return search.findings
  }

  before(() => {
    source = new PlainSource()
  })

  after(async () => {
    next = tasks.length
    const stopped = [...running].map(async (search) => {
      await search.stop()
      await search.findings
    })
    await Promise.allSettled(stopped)
    source.remove()
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

function attempt(work: () => unknown): void {
  try {
    work()
  } catch {
    // Its own test meets the same fault.
  }
}
