/** The figures with their curves. */
import uPlot from 'uplot'
import { count } from '../../cli/text.ts'
import type { Point } from '../wire.ts'
import { element, make, write } from './elements.ts'

/** Points that a curve shows: ten minutes. */
const KEPT = 600
/** Seconds that a curve shows at least. */
const SHORTEST = 60

type Series = readonly [xs: number[], ys: (number | null)[]]

interface FigureKind {
  readonly name: string
  readonly read: (point: Point) => number | null
  readonly show: (value: number) => string
  readonly bars?: boolean
}

const KINDS: readonly FigureKind[] = [
  { name: 'Held', read: ({ held }) => held, show: count },
  { name: 'Waiting', read: ({ waiting }) => waiting, show: count },
  { name: 'Renewal lag', read: ({ lag }) => lag && lag * 100, show: (value) => `${small(value)} %` },
  { name: 'Lost per second', read: ({ lost }) => lost, show: count, bars: true },
  { name: 'Round trip', read: ({ roundTrip }) => roundTrip, show: (value) => `${small(value)} ms` },
]

/** Three digits at most. */
function small(value: number): string {
  if (value === 0 || value >= 100) return count(value)
  return value.toPrecision(2)
}

class Figure {
  readonly #kind: FigureKind
  readonly #value = make('div', 'value', '–')
  readonly #more = make('div', 'more')
  readonly #series: Series = [[], []]
  readonly #plot: uPlot
  #last: number | null = null

  constructor(kind: FigureKind, index: number, parent: HTMLElement) {
    this.#kind = kind
    const place = make('div', 'plot')
    place.ariaHidden = 'true'
    parent.append(make('div', 'figure', make('h2', '', kind.name), this.#value, this.#more, place))
    this.#plot = new uPlot(
      optionsOf(kind, index, (at) => this.#hover(at)),
      this.#data(),
      place,
    )
    new ResizeObserver(() => {
      const { clientWidth: width, clientHeight: height } = place
      if (width > 0 && height > 0) this.#plot.setSize({ width, height })
    }).observe(place)
  }

  clear(): void {
    for (const values of this.#series) values.length = 0
  }

  add(point: Point): void {
    const [xs, ys] = this.#series
    const x = point.at / 1_000
    if (point.gap && xs.length > 0) {
      xs.push(x - 0.5)
      ys.push(null)
    }
    this.#last = this.#kind.read(point)
    xs.push(x)
    ys.push(this.#last)
    const over = xs.length - KEPT
    if (over > 0) {
      xs.splice(0, over)
      ys.splice(0, over)
    }
  }

  /** @param more a line below the value. */
  draw(more: string): void {
    write(this.#value, this.#last === null ? '–' : this.#kind.show(this.#last))
    this.#more.dataset['plain'] = more
    if (typeof this.#plot.cursor.idx !== 'number') write(this.#more, more)
    this.#plot.setData(this.#data())
  }

  /** The colours have changed. */
  redraw(): void {
    this.#plot.redraw(false, true)
  }

  #data(): uPlot.AlignedData {
    return this.#series as unknown as uPlot.AlignedData
  }

  #hover(index: number | null | undefined): void {
    const [xs, ys] = this.#series
    const [x, y] = [xs[index ?? -1], ys[index ?? -1]]
    const text = x === undefined ? this.#more.dataset['plain'] : `${timeOf(x)}  ${textOf(y, this.#kind)}`
    write(this.#more, text ?? '')
  }
}

function textOf(value: number | null | undefined, { show }: FigureKind): string {
  return typeof value === 'number' ? show(value) : '–'
}

function timeOf(seconds: number): string {
  return new Date(seconds * 1_000).toLocaleTimeString()
}

function optionsOf(kind: FigureKind, index: number, onHover: (index: number | null | undefined) => void) {
  const colour = (name: string) => () => getComputedStyle(document.documentElement).getPropertyValue(name)
  const axis: uPlot.Axis = {
    stroke: colour('--quiet'),
    font: '11px system-ui, sans-serif',
    grid: { stroke: colour('--line'), width: 1 },
    ticks: { show: false },
  }
  const paths = kind.bars ? uPlot.paths.bars?.({ size: [0.8, 24, 2] }) : undefined
  return {
    width: 240,
    height: 100,
    padding: [6, 4, 0, 0],
    legend: { show: false },
    // A cursor on one curve shows on all.
    cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 }, sync: { key: 'figures' } },
    scales: {
      x: { time: true, range: (_plot, low, high) => [Math.min(low ?? 0, (high ?? 0) - SHORTEST), high ?? 0] },
      y: { range: (_plot, _low, high) => [0, high > 0 ? high * 1.15 : 1] },
    },
    axes: [
      { ...axis, size: 20, gap: 3, space: 70, values: (_plot, ticks) => ticks.map((tick) => shortTime(tick)) },
      { ...axis, size: 46, gap: 4, space: 28, values: (_plot, ticks) => ticks.map((tick) => shortNumber(tick)) },
    ],
    series: [
      {},
      {
        stroke: colour(`--curve-${index}`),
        width: 1.5,
        points: { show: false },
        ...(paths && { paths, fill: colour(`--curve-${index}`) }),
        value: (_plot, value) => textOf(value, kind),
      },
    ],
    hooks: { setCursor: [(plot) => onHover(plot.cursor.idx)] },
  } satisfies uPlot.Options as uPlot.Options
}

function shortTime(seconds: number): string {
  const isWhole = seconds % 60 === 0
  const parts: Intl.DateTimeFormatOptions = { hour: '2-digit', minute: '2-digit' }
  if (!isWhole) parts.second = '2-digit'
  return new Date(seconds * 1_000).toLocaleTimeString(undefined, parts)
}

function shortNumber(value: number): string {
  return new Intl.NumberFormat(undefined, { notation: 'compact', maximumSignificantDigits: 3 }).format(value)
}

/** A line below the value of each figure, by its name. */
export type Notes = Readonly<Record<string, string>>

export class Figures {
  readonly #figures: readonly Figure[]

  constructor() {
    const parent = element('figures')
    this.#figures = KINDS.map((kind, index) => new Figure(kind, index, parent))
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
      for (const figure of this.#figures) figure.redraw()
    })
  }

  restart(points: readonly Point[], notes: Notes): void {
    for (const figure of this.#figures) figure.clear()
    for (const point of points) for (const figure of this.#figures) figure.add(point)
    this.#draw(notes)
  }

  add(point: Point, notes: Notes): void {
    for (const figure of this.#figures) figure.add(point)
    this.#draw(notes)
  }

  #draw(notes: Notes): void {
    for (const [index, figure] of this.#figures.entries()) figure.draw(notes[KINDS[index]?.name ?? ''] ?? '')
  }
}
