/**
 * `npm run sigterm`: sends SIGTERM to a worker with 100 `using` under way, of which 20 never end by themselves, and shows what became of their
 * locks. Exit code 1 when a lock changed hands before its work had ended or its signal was aborted.
 */
import { terminate } from '../test/faults/terminated-process.ts'

const JOBS = 100
const STUBBORN = 20
/** ms after which the last of the others ends: within the drain that `close` has unless it is told otherwise. */
const LONGEST = 8_000

const seen = await terminate({ jobs: JOBS, longest: LONGEST, stubborn: STUBBORN, drain: undefined })
const { done, aborted, fulfilled, early, longest, refused, slowest, duration, exitCode } = seen
console.log(`jobs that ended by themselves                     ${done}, of which fulfilled ${fulfilled.done}`)
console.log(`jobs that were aborted                            ${aborted}, of which fulfilled ${fulfilled.aborted}`)
console.log(`locks that changed hands under work               ${early}, for up to ${longest.toFixed(0)} ms`)
console.log(`writes refused as stale, signal not aborted       ${refused}`)
console.log(`from the end of a job to its lock's next holder   up to ${slowest.toFixed(0)} ms`)
console.log(`from SIGTERM to the end of the process            ${duration.toFixed(0)} ms, exit code ${exitCode}`)
const isRight = early === 0 && refused === 0 && done + aborted === JOBS && fulfilled.aborted === 0 && exitCode === 0
process.exitCode = isRight ? 0 : 1
