/** ops/ against what is exported, and docs/operations.md against both. */
import { readFileSync } from 'node:fs'
import { expect } from 'chai'
import { collect } from 'leasewheel/prometheus'
import { Registry } from 'prom-client'
import { withManager } from '../support/manager.ts'
import { parseScrape, type Scrape } from '../support/prometheus-text.ts'

interface Dashboard {
  readonly panels: readonly {
    readonly id: number
    readonly title: string
    readonly targets?: readonly { readonly expr: string }[]
  }[]
}

const dashboard = JSON.parse(readFileSync('ops/grafana.json', 'utf8')) as Dashboard
const alerts = readFileSync('ops/alerts.yaml', 'utf8')
const page = readFileSync('docs/operations.md', 'utf8')
const panels = dashboard.panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr))
/** The expressions alone: names of alerts are no metrics. */
const rules = alerts.split(/^ +- alert: /m).slice(1)

async function scrapeOfAll(): Promise<Scrape> {
  let scrape: Scrape | undefined
  await withManager({}, async ({ manager }) => {
    const register = new Registry()
    collect(manager, { register })
    scrape = parseScrape(await register.metrics())
  })
  return scrape as Scrape
}

function metricsIn(text: string): string[] {
  return [...new Set(text.match(/\bleasewheel_\w+/g))]
}

describe('ops/', () => {
  it('asks for metrics and labels that are exported', async () => {
    const scrape = await scrapeOfAll()
    const samples = [...scrape.families.values()].flatMap((family) => family.samples)
    // One server has no figures of several.
    const names = new Set([...samples.map(({ name }) => name), ...scrape.families.keys()])
    const asked = [...panels, ...rules].flatMap(metricsIn)
    expect(asked).to.have.length.greaterThan(30)
    expect(asked.filter((name) => !names.has(name))).to.deep.equal([])
    for (const [, name, label, value] of [...panels, ...rules]
      .join('\n')
      .matchAll(/(leasewheel_\w+)\{[^}]*?\b(reason|cause)!?="(\w+)"/g)) {
      const known = samples.filter((sample) => sample.name === name).map(({ labels }) => labels[label as string])
      expect(known, name).to.include(value)
    }
    for (const [, label] of panels.join('\n').matchAll(/sum by \((reason|cause)\)/g)) {
      expect(samples.some(({ labels }) => (label as string) in labels)).to.equal(true)
    }
  })

  it('shows every metric on the dashboard', async () => {
    const scrape = await scrapeOfAll()
    const shown = new Set(panels.flatMap(metricsIn).map((name) => name.replace(/_bucket$/, '')))
    expect([...scrape.families.keys()].filter((name) => !shown.has(name))).to.deep.equal([])
  })

  it('has a dashboard whose panels have ids of their own, and balanced expressions', () => {
    const ids = dashboard.panels.map(({ id }) => id)
    expect(new Set(ids).size).to.equal(ids.length)
    for (const expr of [...panels, ...rules]) {
      for (const [open, close] of ['()', '{}', '[]']) {
        expect(expr.split(open as string).length, expr).to.equal(expr.split(close as string).length)
      }
    }
  })

  it('has an alert for jeopardy, lag, waiting and overload, each with a paragraph in docs/operations.md', () => {
    const names = rules.map((rule) => /^\w+/.exec(rule)?.[0] as string)
    expect(names).to.include.members(
      ['Jeopardy', 'RenewalLag', 'WaitingRises', 'Overload'].map((name) => `Leasewheel${name}`),
    )
    for (const name of names) expect(page).to.match(new RegExp(`^#+ ${name}$`, 'm'))
  })

  it('has its metrics explained in docs/operations.md, and no others', async () => {
    const scrape = await scrapeOfAll()
    const explained = [...page.matchAll(/^\| `(leasewheel_\w+)/gm)].map(([, name]) => name)
    expect(explained).to.have.members([...scrape.families.keys()])
  })
})
