/** The program of a keeper's thread. */
import { parentPort, workerData } from 'node:worker_threads'
import type { LedgerPart } from '../backend.ts'
import { Keeper } from '../keeper/keeper.ts'
import { LedgerReader } from '../keeper/ledger.ts'
import { isKeeping } from '../rules/keeping.ts'
import { SystemClock } from '../time/clock.ts'
import { KeeperConnection, mayBeOneKey } from './keeper-connection.ts'
import type { KeeperMessage, KeeperThreadData } from './keeper-thread.ts'
import { sourceOf } from './portable-source.ts'

const { keeper: settings, source, prefix, timeout, owner } = workerData as KeeperThreadData
const clock = new SystemClock()
const ledger = new LedgerReader(settings.head, settings.parts)

const tell = (fault: unknown): void => {
  const message: KeeperMessage = { fault: fault instanceof Error ? fault.message : String(fault) }
  parentPort?.postMessage(message)
}

const connection = new KeeperConnection(
  {
    source: sourceOf(source),
    clock,
    timeout,
    owner,
    prefix,
    isSilent: () =>
      isKeeping(clock.steady(), { beat: ledger.beat, maxBlocked: Number.POSITIVE_INFINITY }, ledger.shortestTtl),
    onFault: tell,
  },
  (usable) => {
    ledger.connected = usable
  },
  () => keeper.doubt(),
)

const keeper = new Keeper({
  ...settings,
  ledger,
  clock,
  random: Math.random,
  ready: () => connection.ready(),
  renew: (entries) => connection.renew(entries),
  mayBeOneKey,
  onFault: tell,
})

parentPort?.on('message', (part: LedgerPart) => ledger.add(part))
keeper.start()
