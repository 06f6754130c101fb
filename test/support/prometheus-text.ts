/**
 * A strict parser of Prometheus' text format, version 0.0.4: written after its description, and not after prom-client. It refuses what Prometheus
 * refuses, and a series that stands twice.
 */
import { expect } from 'chai'

export interface Family {
  readonly type: string
  readonly help: string
  readonly samples: Sample[]
}

interface Sample {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

export class Scrape {
  readonly families: Map<string, Family> = new Map()

  /** The value of the one series with this name and exactly these labels; undefined without one. */
  value(name: string, labels: Readonly<Record<string, string>> = {}): number | undefined {
    for (const { samples } of this.families.values()) {
      for (const sample of samples)
        if (sample.name === name && idOf(sample) === idOf({ name, labels })) return sample.value
    }
    return undefined
  }
}

export function parseScrape(text: string): Scrape {
  const scrape = new Scrape()
  const seen = new Set<string>()
  let current: { name: string; help: string } | undefined
  expect(text.endsWith('\n'), 'the last line ends').to.equal(true)
  for (const line of text.split('\n')) {
    const help = /^# HELP ([a-zA-Z_:][a-zA-Z0-9_:]*) (.*)$/.exec(line)
    const type = /^# TYPE ([a-zA-Z_:][a-zA-Z0-9_:]*) (counter|gauge|histogram)$/.exec(line)
    if (line === '') continue
    if (help) {
      current = { name: help[1] as string, help: help[2] as string }
    } else if (type) {
      const name = type[1] as string
      if (scrape.families.has(name)) expect.fail(`${name} stands twice`)
      expect(current?.name, 'HELP comes before TYPE').to.equal(name)
      scrape.families.set(name, { type: type[2] as string, help: current?.help ?? '', samples: [] })
    } else {
      const sample = parseSample(line)
      const family = scrape.families.get(current?.name ?? '') ?? expect.fail(`no TYPE before: ${line}`)
      const suffixes = family.type === 'histogram' ? '(_bucket|_sum|_count)' : ''
      expect(sample.name).to.match(new RegExp(`^${current?.name}${suffixes}$`))
      if (seen.has(idOf(sample))) expect.fail(`a series stands twice: ${line}`)
      seen.add(idOf(sample))
      family.samples.push(sample)
    }
  }
  return scrape
}

function parseSample(line: string): Sample {
  const start = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{)?/.exec(line) ?? expect.fail(`no sample: ${line}`)
  let at = start[0].length
  const labels: Record<string, string> = {}
  const label = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(,|\})/y
  for (let open = start[2] !== undefined; open; ) {
    label.lastIndex = at
    const [all, name, value, end] = label.exec(line) ?? expect.fail(`no label at ${at}: ${line}`)
    if ((name as string) in labels) expect.fail(`a label stands twice: ${line}`)
    labels[name as string] = (value as string).replaceAll(/\\(.)/g, (_all, one: string) => (one === 'n' ? '\n' : one))
    at += all.length
    open = end === ','
  }
  const value = /^ (NaN|[+-]Inf|[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)$/i.exec(line.slice(at))
  if (value === null) expect.fail(`no value: ${line}`)
  return { name: start[1] as string, labels, value: numberOf(value[1] as string) }
}

function numberOf(text: string): number {
  return text.endsWith('Inf') ? Number(text.replace('Inf', 'Infinity')) : Number(text)
}

function idOf({ name, labels }: Pick<Sample, 'name' | 'labels'>): string {
  return JSON.stringify([name, Object.entries(labels).toSorted(([one], [other]) => one.localeCompare(other))])
}
