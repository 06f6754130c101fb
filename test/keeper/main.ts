/**
 * `npm run keeper`: what a blocked event loop does to 10,000 leases with a ttl of 5 s: in three ways, with a keeper and without. Exit code 1 if anything
 * is lost that a keeper should have kept, or kept that it should have given up.
 */
import { type BlockedReport, runBlocked } from './blocked.ts'
import { HOWS } from './blocked-task.ts'

const LEASES = 10_000
const TTL = 5_000
const BLOCKED = 30_000
/** What a keeper gives up after, where it does, in ms. */
const SHORT = 10_000

let isRight = true

async function show(
  what: string,
  task: Parameters<typeof runBlocked>[0],
  isAsPromised: (report: BlockedReport) => boolean,
): Promise<void> {
  const report = await runBlocked(task)
  const right = isAsPromised(report) && report.exitCode === 0 && report.held === LEASES
  isRight &&= right
  const { blocked, looks, heldThen, firstLoss, heldAfter, heldLater, lost, kept, taken, firstTaken } = report
  const seconds = (ms: number | undefined): string =>
    ms === undefined ? 'never' : `after ${(ms / 1_000).toFixed(1)} s`
  console.log(`${right ? 'as promised' : 'WRONG'}: ${what}, blocked for ${(blocked / 1_000).toFixed(1)} s`)
  console.log(`  looks in the block ${looks}, of which held ${heldThen}; first not held ${seconds(firstLoss)}`)
  console.log(`  held right after it ${heldAfter}, a ttl later ${heldLater}; lost ${JSON.stringify(lost)}`)
  console.log(
    `  renewals by the keeper ${kept}; keys that another process got ${taken} of 100, the first ${seconds(firstTaken)}`,
  )
}

const [only] = process.argv.slice(2)

for (const how of HOWS.filter((how) => only === undefined || how === only)) {
  const task = { leases: LEASES, ttl: TTL, blocked: BLOCKED, how }
  await show(`${how}, with a keeper`, { ...task, maxBlocked: 60_000 }, (report) => {
    const { looks, heldThen, heldAfter, heldLater, taken } = report
    return looks === heldThen && heldAfter === LEASES && heldLater === LEASES && taken === 0
  })
  await show(`${how}, without a keeper`, { ...task, maxBlocked: undefined }, ({ heldAfter, lost, taken }) => {
    return heldAfter === 0 && lost['expired'] === LEASES && taken === 100
  })
}
await show(
  `loop, with a keeper that gives up after ${SHORT} ms`,
  { leases: LEASES, ttl: TTL, blocked: BLOCKED, how: 'loop', maxBlocked: SHORT },
  ({ firstLoss = 0, heldAfter, lost, taken, firstTaken = 0 }) => {
    const inTime = (at: number): boolean => at > SHORT && at < SHORT + 1.1 * TTL
    return heldAfter === 0 && lost['expired'] === LEASES && taken === 100 && inTime(firstLoss) && inTime(firstTaken)
  },
)
process.exitCode = isRight ? 0 : 1
