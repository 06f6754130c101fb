/** Makes spans of the calls of one manager, as the tracing channels report them. */
import { AsyncLocalStorage } from 'node:async_hooks'
import { tracingChannel } from 'node:diagnostics_channel'
import { type Attributes, context, type Span, SpanStatusCode, trace as tracing, type Tracer } from '@opentelemetry/api'
import { labelOf, type Labeller } from '../figures/label-counts.ts'
import {
  ACQUIRE_CHANNEL,
  type AcquireTrace,
  RELEASE_CHANNEL,
  type ReleaseTrace,
  USING_CHANNEL,
  type UsingTrace,
} from '../tracing/channels.ts'

interface Trace {
  readonly leases: object
  readonly error?: unknown
}

/** How the spans of one channel look. */
interface Kind<T extends Trace> {
  readonly channel: string
  readonly begin: (trace: T) => Attributes
  readonly end: (trace: T) => Attributes
}

/** @returns a function that ends this. */
export function followCalls(
  leases: object,
  tracer: Tracer,
  label: Labeller | undefined,
  attributes: Attributes,
): () => void {
  // A call that another call makes is its child.
  const parents = new AsyncLocalStorage<Span | undefined>()
  const ofKey = (key: string): Attributes => ({
    ...attributes,
    'leasewheel.key': key.toWellFormed(),
    ...(label && { 'leasewheel.lock': labelOf(key, label) }),
  })
  const kinds = [
    follow<AcquireTrace>({
      channel: ACQUIRE_CHANNEL,
      begin: ({ method, keys }) => ({
        ...(keys.length === 1 ? ofKey(keys[0] as string) : { ...attributes, 'leasewheel.keys': keys.length }),
        'leasewheel.method': method,
      }),
      end: ({ outcome = 'cancelled', result }) => ({
        'leasewheel.outcome': outcome,
        ...(isLease(result) && { 'leasewheel.fence': result.fence }),
      }),
    }),
    follow<UsingTrace>({ channel: USING_CHANNEL, begin: ({ key }) => ofKey(key), end: () => ({}) }),
    follow<ReleaseTrace>({
      channel: RELEASE_CHANNEL,
      begin: ({ key, fence }) => ({ ...ofKey(key), 'leasewheel.fence': fence }),
      end: ({ result }) => ({ 'leasewheel.confirmed': result === true }),
    }),
  ]
  return () => {
    for (const stop of kinds) stop()
  }

  function follow<T extends Trace>(kind: Kind<T>): () => void {
    const spans = new WeakMap<T, Span>()
    const begin = (trace: T): Span | undefined => {
      const parent = parents.getStore()
      if (trace.leases !== leases) return parent
      const around = parent ? tracing.setSpan(context.active(), parent) : context.active()
      // The names of channels and spans differ in one character.
      const span = tracer.startSpan(kind.channel.replace(':', '.'), { attributes: kind.begin(trace) }, around)
      spans.set(trace, span)
      return span
    }
    const end = (trace: T): void => {
      const span = spans.get(trace)
      if (span === undefined) return
      spans.delete(trace)
      span.setAttributes(kind.end(trace))
      if (trace.error !== undefined) fail(span, trace.error)
      span.end()
    }
    const channel = tracingChannel<Span | undefined, T>(kind.channel)
    const subscribers = { asyncEnd: end, start: nothing, end: nothing, asyncStart: nothing, error: nothing }
    channel.start.bindStore(parents, begin)
    channel.subscribe(subscribers)
    return () => {
      channel.start.unbindStore(parents)
      channel.unsubscribe(subscribers)
    }
  }
}

/** Checks the shape: the lease may come from another copy of this package. */
function isLease(result: unknown): result is { readonly fence: number } {
  return typeof result === 'object' && result !== null && 'fence' in result
}

function fail(span: Span, error: unknown): void {
  const { name, code, message } = error as Partial<Error & { code: string }>
  span.setAttribute('error.type', String(code ?? name ?? typeof error))
  span.setStatus({ code: SpanStatusCode.ERROR, ...(message !== undefined && { message }) })
}

function nothing(): void {}
