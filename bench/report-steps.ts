/**
 * What `report` measures, and how each result is written down. With three rounds the longest steps take five to seven
 * minutes each on two quiet cores.
 */
import { acquire } from './acquire.ts'
import type { AcquireFigures } from './acquire-figures.ts'
import * as acquireReport from './acquire-report.ts'
import type { Command } from './command.ts'
import { formatFigures, formatRatios, type Column, type Comparable, type Line, type Row } from './comparison-report.ts'
import { handoff } from './handoff.ts'
import type { HandoffFigures } from './handoff-figures.ts'
import * as handoffReport from './handoff-report.ts'
import { hold } from './hold.ts'
import type { HoldFigures } from './hold-figures.ts'
import * as holdReport from './hold-report.ts'
import { loss } from './loss.ts'
import type { LossFigures } from './loss-figures.ts'
import * as lossReport from './loss-report.ts'
import { overload } from './overload.ts'
import type { OverloadFigures } from './overload-figures.ts'
import * as overloadReport from './overload-report.ts'
import { release } from './release.ts'
import type { ReleaseFigures } from './release-figures.ts'
import * as releaseReport from './release-report.ts'
import { scale } from './scale.ts'
import * as scaleReport from './scale-report.ts'
import { wheel } from './wheel.ts'
import type { WheelMeasurement } from './wheel-measurement.ts'
import * as wheelReport from './wheel-report.ts'
import type { Result } from './result.ts'

export interface Step {
  readonly command: Command
  /** Without the rounds and the file. */
  readonly args: readonly string[]
  readonly title: string
  /** What is seen in the table. */
  readonly text: string
  /** Table, and comparison where there is one. */
  readonly format: (result: Result) => readonly string[]
}

const EVERYWHERE = ['--runtimes', 'here,ioredis-5,node-24']

export const STEP_NAMES = [
  'scale',
  'hold',
  'million',
  'acquire',
  'release',
  'handoff',
  'loss',
  'overload',
  'wheel',
] as const

export type StepName = (typeof STEP_NAMES)[number]

export const steps: Readonly<Record<StepName, Step>> = {
  scale: {
    command: scale,
    args: ['--ttl', '15000'],
    title: 'From 1,000 locks to 1,000,000',
    text: 'One process holds locks and does nothing else; each lock is renewed every third of its ttl.',
    format: (result) => [formatFigures(result.rows as Row<HoldFigures>[], scaleReport.columns)],
  },
  hold: {
    command: hold,
    args: ['--locks', '100000', '--ttl', '6000', '--seconds', '8', ...EVERYWHERE],
    title: '100,000 locks, renewed every two seconds',
    text: 'What one renewal costs. `left` is memory that is still in use when all is closed; `oldest` is the longest time that a lock went without a renewal.',
    format: comparing<HoldFigures>(holdReport.columns, holdReport.compared),
  },
  million: {
    command: hold,
    args: ['--locks', '1000000', '--ttl', '30000', '--seconds', '60', '--libraries', 'leasewheel'],
    title: '1,000,000 locks for two minutes',
    text: 'A minute in which the event loop is watched, and one in which the CPU is counted.',
    format: (result) => [
      formatFigures(
        result.rows as Row<HoldFigures>[],
        [scaleReport.columns[1], scaleReport.columns[2]]
          .filter((column) => column !== undefined)
          .concat(holdReport.columns),
      ),
    ],
  },
  acquire: {
    command: acquire,
    args: ['--locks', '200000', ...EVERYWHERE],
    title: 'Taking locks',
    text: 'One caller that takes and releases one lock after the other; 1,000 callers at once; all locks in one go. `bare ioredis` is the two commands without which no lock is taken and released, without a library.',
    format: comparing<AcquireFigures>(acquireReport.columns, acquireReport.compared),
  },
  release: {
    command: release,
    args: EVERYWHERE,
    title: 'Giving locks back',
    text: 'With a call for each lock, 1,000 at once; and all that is held in one go.',
    format: comparing<ReleaseFigures>(releaseReport.columns, releaseReport.compared),
  },
  handoff: {
    command: handoff,
    args: ['--waiters', '50', '--processes', '2', '--seconds', '6'],
    title: 'One lock that many want',
    text: 'Callers in two processes take it for 5 ms each, and want it again at once.',
    format: comparing<HandoffFigures>(handoffReport.columns, handoffReport.compared),
  },
  loss: {
    command: loss,
    args: ['--ttl', '3000', '--deletions', '500'],
    title: 'Notice of a lock that somebody else deleted',
    text: 'One process holds 10,000 locks; another deletes some of them.',
    format: comparing<LossFigures>(lossReport.columns, lossReport.compared),
  },
  overload: {
    command: overload,
    args: [],
    title: 'A server that is too slow',
    text: 'One process holds 100,000 locks; then the server is stopped for most of the time. `keepable` is what it renewed within a ttl: no library can keep more.',
    format: comparing<OverloadFigures>(overloadReport.columns, overloadReport.compared),
  },
  wheel: {
    command: wheel,
    args: [],
    title: 'The timer wheel',
    text: 'What it costs to know which of many entries is due next. A FIFO is enough where all have the same ttl; the wheel takes any.',
    format: (result) => [formatFigures(result.rows as Line<WheelMeasurement>[], wheelReport.columns, 'structure')],
  },
}

function comparing<Figures>(
  columns: readonly Column<Figures>[],
  compared: readonly Comparable<Figures>[],
): Step['format'] {
  return ({ rows }) => {
    const own = rows as Row<Figures>[]
    return [formatFigures(own, columns), formatRatios(own, compared)]
  }
}
