/** What OpenTelemetry's own SDK exports of a manager. */
import { SpanStatusCode } from '@opentelemetry/api'
import { AggregationTemporality, type Histogram, MeterProvider, MetricReader } from '@opentelemetry/sdk-metrics'
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base'
import { expect } from 'chai'
import { observe } from 'leasewheel/opentelemetry'
import { hear, ODD_KEYS, runThroughEverything } from '../support/eventful-run.ts'
import { grant, rejectionOf, watch, withManager, withStage } from '../support/manager.ts'

class Reader extends MetricReader {
  override selectAggregationTemporality(): AggregationTemporality {
    return AggregationTemporality.CUMULATIVE
  }

  protected override async onForceFlush(): Promise<void> {}

  protected override async onShutdown(): Promise<void> {}
}

function withMeter() {
  const reader = new Reader()
  const meter = new MeterProvider({ readers: [reader] }).getMeter('test')
  /** By name and attributes. */
  const read = async (): Promise<Map<string, unknown>> => {
    const { resourceMetrics, errors } = await reader.collect()
    expect(errors).to.deep.equal([])
    const values = new Map<string, unknown>()
    for (const { metrics } of resourceMetrics.scopeMetrics) {
      for (const { descriptor, dataPoints } of metrics) {
        for (const { attributes, value } of dataPoints) {
          const own = Object.entries(attributes).map(([name, text]) => ` ${name}=${String(text)}`)
          values.set(`${descriptor.name}${own.join('')}`, value)
        }
      }
    }
    return values
  }
  return { meter, read }
}

function withTracer() {
  const exporter = new InMemorySpanExporter()
  const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] })
  return { tracer: provider.getTracer('test'), exporter }
}

describe('observe, with a meter', () => {
  it('exports what the events said, over a run with losses', () =>
    withManager({}, async (stage) => {
      const { manager } = stage
      const { meter, read } = withMeter()
      const heard = hear(manager)
      observe(manager, { meter })
      await read()
      await runThroughEverything(stage)
      const values = await read()
      const { wait, hold, roundTrip, renewalLag, requests } = manager.stats()
      expect(values.get('leasewheel.held')).to.equal(2)
      expect(values.get('leasewheel.acquired')).to.equal(heard.acquired)
      expect(values.get('leasewheel.released')).to.equal(heard.released)
      expect(values.get('leasewheel.renewals')).to.equal(heard.renewed)
      expect(values.get('leasewheel.disconnections')).to.equal(2)
      for (const [reason, count] of Object.entries(heard.lost)) {
        expect(values.get(`leasewheel.lost reason=${reason}`), reason).to.equal(count)
      }
      expect(Object.keys(heard.lost)).to.have.length(4)
      expect(values.get('leasewheel.unacquired cause=timedOut')).to.equal(1)
      for (const [name, { count, sum, buckets }] of Object.entries({ wait, hold, round_trip: roundTrip })) {
        const exported = values.get(`leasewheel.${name}`) as Histogram
        expect(exported.count, name).to.equal(count)
        expect(exported.sum, name).to.be.closeTo(sum / 1_000, 1e-9)
        let upTo = 0
        const cumulative = exported.buckets.counts.slice(0, -1).map((some) => (upTo += some))
        expect(cumulative, name).to.deep.equal(buckets)
      }
      expect(requests).to.be.greaterThan(0)
      expect(values.get('leasewheel.renewal.lag quantile=1')).to.equal(renewalLag.minute.max / 1_000)
    }))

  it('counts leases by label, whatever the keys are', () =>
    withManager({}, async (stage) => {
      const { manager } = stage
      const { meter, read } = withMeter()
      observe(manager, { meter, label: (key) => key.split(':')[0] as string })
      await runThroughEverything(stage)
      const values = await read()
      expect(values.get('leasewheel.acquired lock=order')).to.equal(23)
      expect(values.get('leasewheel.held lock=order')).to.equal(2)
      expect(values.get('leasewheel.lost lock=limited reason=maxHold')).to.equal(1)
      expect(values.get('leasewheel.acquired lock=a?b')).to.equal(1)
    }))

  it('exports 0 for the levels of a manager that it does not observe any more, and keeps what was counted', () =>
    withManager({}, async ({ manager }) => {
      const { meter, read } = withMeter()
      const stop = observe(manager, { meter })
      await manager.acquireMany(['a', 'b'])
      expect((await read()).get('leasewheel.held')).to.equal(2)
      stop()
      stop()
      await grant(manager.tryAcquire('c'))
      for (const when of ['first', 'second']) {
        const values = await read()
        expect(values.get('leasewheel.held'), when).to.equal(0)
        expect(values.get('leasewheel.connected'), when).to.equal(0)
        expect(values.get('leasewheel.acquired'), when).to.equal(2)
        expect((values.get('leasewheel.wait') as Histogram).count, when).to.equal(2)
      }
      observe(manager, { meter })
      const values = await read()
      expect(values.get('leasewheel.held')).to.equal(3)
      expect(values.get('leasewheel.acquired')).to.equal(3)
    }))

  it('observes several managers that differ in their attributes', () =>
    withStage(async ({ open }) => {
      const { meter, read } = withMeter()
      const [first, second] = [open().manager, open().manager]
      observe(first, { meter, attributes: { pool: 'one' } })
      expect(() => observe(second, { meter, attributes: { pool: 'one' } })).to.throw(/`attributes` to differ/)
      observe(second, { meter, attributes: { pool: 'two' } })
      await grant(second.tryAcquire('a'))
      const values = await read()
      expect([values.get('leasewheel.held pool=one'), values.get('leasewheel.held pool=two')]).to.deep.equal([0, 1])
      expect((values.get('leasewheel.wait pool=two') as Histogram).count).to.equal(1)
    }))
})

describe('observe, with a tracer', () => {
  it('makes a span of each call, with its key and its outcome', () =>
    withManager({}, async ({ manager, clock, store }) => {
      const { tracer, exporter } = withTracer()
      const stop = observe(manager, { tracer, label: () => 'any', attributes: { pool: 'one' } })
      store.set('lease:busy', 'somebody', 600_000)
      const lease = await grant(manager.tryAcquire('a'))
      const timedOut = watch(manager.acquire('busy', { wait: 100 }))
      await manager.acquireMany(['b', 'busy'])
      await clock.advance(200)
      expect(timedOut.state).to.equal('rejected')
      await lease.release()
      const spans = exporter.getFinishedSpans()
      expect(spans.map(({ name, attributes }) => ({ name, ...attributes }))).to.deep.equal([
        {
          name: 'leasewheel.acquire',
          pool: 'one',
          'leasewheel.key': 'a',
          'leasewheel.lock': 'any',
          'leasewheel.method': 'tryAcquire',
          'leasewheel.outcome': 'granted',
          'leasewheel.fence': lease.fence,
        },
        {
          name: 'leasewheel.acquire',
          pool: 'one',
          'leasewheel.keys': 2,
          'leasewheel.method': 'acquireMany',
          'leasewheel.outcome': 'refused',
        },
        {
          name: 'leasewheel.acquire',
          pool: 'one',
          'leasewheel.key': 'busy',
          'leasewheel.lock': 'any',
          'leasewheel.method': 'acquire',
          'leasewheel.outcome': 'timedOut',
          'error.type': 'ERR_NOT_ACQUIRED',
        },
        {
          name: 'leasewheel.release',
          pool: 'one',
          'leasewheel.key': 'a',
          'leasewheel.lock': 'any',
          'leasewheel.fence': lease.fence,
          'leasewheel.confirmed': true,
        },
      ])
      expect(spans[2]?.status.code).to.equal(SpanStatusCode.ERROR)
      stop()
      await manager.tryAcquire('c')
      expect(exporter.getFinishedSpans()).to.have.length(4)
    }))

  it('makes the calls that `using` makes children of its span, and leaves other managers out', () =>
    withStage(async ({ open, clock }) => {
      const { tracer, exporter } = withTracer()
      const [observed, other] = [open().manager, open().manager]
      const stop = observe(observed, { tracer })
      const work = watch(
        observed.using('a', async () => {
          await grant(other.tryAcquire('b'))
          await grant(observed.tryAcquire('c'))
          throw new Error('the work failed')
        }),
      )
      await clock.settle()
      expect(work.state).to.equal('rejected')
      stop()
      const spans = exporter.getFinishedSpans()
      const using = spans.find(({ name }) => name === 'leasewheel.using')
      expect(using?.attributes).to.deep.equal({ 'leasewheel.key': 'a', 'error.type': 'Error' })
      expect(using?.parentSpanContext).to.equal(undefined)
      const children = spans.filter((span) => span !== using)
      expect(children.map(({ name, attributes }) => `${name} ${String(attributes['leasewheel.key'])}`)).to.deep.equal([
        'leasewheel.acquire a',
        'leasewheel.acquire c',
        'leasewheel.release a',
      ])
      for (const child of children) expect(child.parentSpanContext?.spanId).to.equal(using?.spanContext().spanId)
    }))

  it('takes any key', () =>
    withManager({}, async ({ manager }) => {
      const { tracer, exporter } = withTracer()
      const stop = observe(manager, { tracer })
      for (const key of ODD_KEYS) await manager.tryAcquire(key)
      stop()
      expect(exporter.getFinishedSpans().map(({ attributes }) => attributes['leasewheel.key'])).to.deep.equal(ODD_KEYS)
      expect(await rejectionOf(manager.tryAcquire(''))).to.be.instanceOf(RangeError)
    }))
})
