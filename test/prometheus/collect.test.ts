/** What a scrape shows of a manager. */
import { expect } from 'chai'
import { collect } from 'leasewheel/prometheus'
import { Gauge, Registry, type RegistryContentType } from 'prom-client'
import { hear, ODD_KEYS, runThroughEverything } from '../support/eventful-run.ts'
import { grant, grantAll, withManager, withStage } from '../support/manager.ts'
import { parseScrape } from '../support/prometheus-text.ts'

describe('collect', () => {
  it('exports what the events said, over a run with losses', () =>
    withManager({}, async (stage) => {
      const { manager } = stage
      const register = new Registry()
      const heard = hear(manager)
      collect(manager, { register })
      await runThroughEverything(stage)
      const scrape = parseScrape(await register.metrics())
      const stats = manager.stats()
      expect(scrape.value('leasewheel_held')).to.equal(2)
      expect(scrape.value('leasewheel_acquired_total')).to.equal(heard.acquired)
      expect(scrape.value('leasewheel_released_total')).to.equal(heard.released)
      expect(scrape.value('leasewheel_renewals_total')).to.equal(heard.renewed)
      expect(scrape.value('leasewheel_disconnections_total')).to.equal(heard.disconnected).and.to.equal(2)
      for (const reason of ['expired', 'taken', 'missing', 'maxHold']) {
        const lost = scrape.value('leasewheel_lost_total', { reason })
        expect(lost, reason).to.equal(heard.lost[reason]).and.to.be.greaterThan(0)
      }
      expect(scrape.value('leasewheel_unacquired_total', { cause: 'refused' })).to.equal(1)
      expect(scrape.value('leasewheel_unacquired_total', { cause: 'timedOut' })).to.equal(1)
      expect(scrape.value('leasewheel_wait_seconds_count')).to.equal(heard.acquired)
      expect(scrape.value('leasewheel_hold_seconds_count')).to.equal(heard.acquired - 2)
      expect(scrape.value('leasewheel_hold_seconds_sum')).to.be.closeTo(stats.hold.sum / 1_000, 1e-9)
      expect(scrape.value('leasewheel_wait_seconds_bucket', { le: '0.25' })).to.equal(heard.acquired - 1)
      expect(scrape.value('leasewheel_wait_seconds_bucket', { le: '+Inf' })).to.equal(heard.acquired)
      for (const flag of ['connected', 'healthy', 'watching'])
        expect(scrape.value(`leasewheel_${flag}`), flag).to.equal(1)
      expect(scrape.families.get('leasewheel_wait_seconds')?.type).to.equal('histogram')
    }))

  it('exports histograms whose buckets grow, and end with the count', () =>
    withManager({}, async (stage) => {
      const register = new Registry()
      collect(stage.manager, { register })
      await runThroughEverything(stage)
      const scrape = parseScrape(await register.metrics())
      const histograms = [...scrape.families].filter(([, { type }]) => type === 'histogram')
      expect(histograms.map(([name]) => name)).to.have.members(
        ['wait', 'hold', 'renewal_lag', 'round_trip'].map((name) => `leasewheel_${name}_seconds`),
      )
      for (const [name, { samples }] of histograms) {
        const buckets = samples.filter((sample) => sample.name === `${name}_bucket`)
        const bounds = buckets.map(({ labels }) => Number(labels.le?.replace('Inf', 'Infinity')))
        expect(bounds).to.deep.equal(bounds.toSorted((a, b) => a - b))
        const counts = buckets.map(({ value }) => value)
        expect(counts).to.deep.equal(counts.toSorted((a, b) => a - b))
        expect(counts.at(-1))
          .to.equal(scrape.value(`${name}_count`))
          .and.to.be.greaterThan(0)
      }
    }))

  it('counts leases by label, and stays whole whatever the keys are', () =>
    withManager({}, async (stage) => {
      const { manager } = stage
      const register = new Registry()
      await grant(manager.tryAcquire('early'))
      collect(manager, { register, label: (key) => key.split(':')[0] as string })
      const heard = hear(manager)
      await runThroughEverything(stage)
      const scrape = parseScrape(await register.metrics())
      expect(scrape.value('leasewheel_acquired_total', { lock: 'order' })).to.equal(23)
      expect(scrape.value('leasewheel_held', { lock: 'order' })).to.equal(2)
      expect(scrape.value('leasewheel_lost_total', { lock: 'limited', reason: 'maxHold' })).to.equal(1)
      expect(scrape.value('leasewheel_held', { lock: 'early' }), 'lost meanwhile').to.equal(0)
      const sum = (name: string): number =>
        scrape.families.get(name)?.samples.reduce((total, { value }) => total + value, 0) ?? Number.NaN
      expect(sum('leasewheel_acquired_total')).to.equal(heard.acquired)
      expect(sum('leasewheel_held')).to.equal(manager.size)
      expect(sum('leasewheel_lost_total')).to.equal(Object.values(heard.lost).reduce((total, count) => total + count))
      const labels = scrape.families.get('leasewheel_acquired_total')?.samples.map(({ labels: { lock } }) => lock)
      expect(labels).to.include(ODD_KEYS[0]).and.to.include('a?b').and.to.include('a\\nb')
      expect(labels?.every((label) => label !== undefined && label.length <= 100)).to.equal(true)
    }))

  it('bounds the labels, and survives a function that fails', () =>
    withManager({}, async ({ manager }) => {
      const register = new Registry()
      collect(manager, {
        register,
        label: (key) => {
          if (key === 'bad') throw new Error('no label')
          return key
        },
      })
      await manager.acquireMany([...Array.from({ length: 300 }, (_, index) => `key-${index}`), 'bad'])
      const scrape = parseScrape(await register.metrics())
      expect(scrape.families.get('leasewheel_held')?.samples).to.have.length(201)
      expect(scrape.value('leasewheel_held', { lock: 'others' })).to.equal(101)
    }))

  it('lets scrapes overlap, and shows one moment in each', () =>
    withManager({}, async ({ manager }) => {
      const register = new Registry()
      collect(manager, { register })
      const texts = Promise.all([register.metrics(), register.metrics()])
      const leases = await grantAll(manager.acquireMany(['a', 'b']))
      const [one, other] = await texts
      expect(one).to.equal(other)
      expect(parseScrape(one).value('leasewheel_held')).to.equal(0)
      expect(parseScrape(await register.metrics()).value('leasewheel_held')).to.equal(leases.length)
    }))

  it('serves several managers that share a register, each with its labels', () =>
    withStage(async ({ open }) => {
      const register = new Registry()
      const [first, second] = [open().manager, open().manager]
      const stop = collect(first, { register, labels: { manager: 'one' } })
      expect(() => collect(second, { register, labels: { manager: 'one' } })).to.throw(/`labels` to differ/)
      collect(second, { register, labels: { manager: 'two' } })
      await grant(second.tryAcquire('a'))
      const both = parseScrape(await register.metrics())
      expect(both.value('leasewheel_held', { manager: 'one' })).to.equal(0)
      expect(both.value('leasewheel_held', { manager: 'two' })).to.equal(1)
      stop()
      stop()
      const rest = parseScrape(await register.metrics())
      expect(rest.value('leasewheel_held', { manager: 'one' })).to.equal(undefined)
      expect(rest.value('leasewheel_held', { manager: 'two' })).to.equal(1)
    }))

  it('leaves the register as it was', () =>
    withManager({}, async ({ manager }) => {
      const register = new Registry()
      const other = new Gauge({ name: 'other', help: 'Not ours', registers: [register] })
      const stop = collect(manager, { register, label: (key) => key })
      expect(manager.listenerCount('lost')).to.equal(2)
      stop()
      expect(register.getMetricsAsArray()).to.deep.equal([other])
      expect(manager.listenerCount('lost'), 'that of the test').to.equal(1)
      new Gauge({ name: 'leasewheel_hold_seconds', help: 'In the way', registers: [register] })
      expect(() => collect(manager, { register })).to.throw(/already been registered/)
      expect(register.getMetricsAsArray()).to.have.length(2)
    }))

  it('writes OpenMetrics too, again and again', () =>
    withManager({}, async ({ manager }) => {
      const register: Registry<RegistryContentType> = new Registry()
      register.setContentType(Registry.OPENMETRICS_CONTENT_TYPE)
      const stop = collect(manager, { register })
      await register.metrics()
      const text = await register.metrics()
      expect(text).to.match(/^# TYPE leasewheel_acquired counter$/m)
      expect(text).to.match(/^leasewheel_acquired_total 0$/m)
      expect(text).not.to.include('_total_total')
      stop()
      expect(register.getMetricsAsArray()).to.deep.equal([])
    }))

  it('tells the same as text and as JSON, with all labels', () =>
    withManager({}, async (stage) => {
      const register = new Registry()
      register.setDefaultLabels({ app: 'shop' })
      collect(stage.manager, { register, labels: { pool: 'a "b"' }, label: (key) => key.slice(0, 1) })
      await runThroughEverything(stage)
      const scrape = parseScrape(await register.metrics())
      const metrics = (await register.getMetricsAsJSON()) as unknown as {
        name: string
        values: { value: number; labels: Record<string, string>; metricName?: string }[]
      }[]
      const idOf = (name: string, labels: object, value: number): string =>
        `${name} ${JSON.stringify(Object.entries(labels).map(String).sort())} ${value}`
      const json = metrics.flatMap(({ name, values }) =>
        values.map(({ metricName = name, labels, value }) => idOf(metricName, labels, value)),
      )
      const samples = [...scrape.families.values()].flatMap((family) => family.samples)
      expect(json).to.have.members(samples.map(({ name, labels, value }) => idOf(name, labels, value)))
      expect(samples.every(({ labels }) => labels['app'] === 'shop' && labels['pool'] === 'a "b"')).to.equal(true)
    }))

  it('refuses labels that would spoil the scrape', () =>
    withManager({}, async ({ manager }) => {
      const register = new Registry()
      for (const name of ['a-b', '1a', '__name__', 'le', 'reason', 'server', '']) {
        expect(() => collect(manager, { register, labels: { [name]: 'x' } }), name).to.throw(RangeError)
      }
      expect(register.getMetricsAsArray()).to.deep.equal([])
    }))
})
