/** Starts the thread of a keeper, and talks to it. It ends with its process, and never keeps that alive. */
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import type { Redis } from 'ioredis'
import type { BackendSettings, KeeperSettings, LedgerPart, StartedKeeper } from '../backend.ts'
import { UnavailableError } from '../errors.ts'
import { describeSource, type PortableSource } from './portable-source.ts'

/** What the thread gets at its start. */
export interface KeeperThreadData extends Pick<BackendSettings, 'prefix' | 'timeout' | 'owner'> {
  readonly keeper: Omit<KeeperSettings, 'worker'>
  readonly source: PortableSource
}

/** What the thread sends. */
export interface KeeperMessage {
  readonly fault: string
}

/** The file of the thread, beside this one: compiled, or in the source. */
const FILE = './keeper-worker.js'
const SOURCE = './keeper-source.mjs'

/** @throws TypeError if the thread could not reach the server, or if its file is missing. */
export function startKeeperThread(
  source: Redis | string,
  { prefix, timeout, owner, credentials }: BackendSettings,
  { worker: file = ownFile(), ...keeper }: KeeperSettings,
  onFault: (fault: Error) => void,
): StartedKeeper {
  if (credentials)
    throw new TypeError('Expected no `credentials` with `keeper`: a function cannot run in another thread')
  const workerData: KeeperThreadData = { prefix, timeout, owner, keeper, source: describeSource(source) }
  checkFile(file)
  // Modules that the program preloads are not for this thread: such a module might make a manager with a keeper of its own.
  const env = { ...process.env, NODE_OPTIONS: '' }
  const worker = new Worker(file, { name: 'leasewheel keeper', workerData, execArgv: [], env })
  let isClosed = false
  let cause: unknown
  worker.on('message', ({ fault }: KeeperMessage) => onFault(new UnavailableError(`The keeper: ${fault}`)))
  worker.on('error', (error) => {
    cause = error
  })
  worker.on('exit', () => {
    if (!isClosed) onFault(new UnavailableError(OVER, undefined, { cause }))
  })
  // A listener of messages that is added later would keep the process alive again.
  worker.unref()
  return {
    add: (part: LedgerPart) => worker.postMessage(part),
    close: async () => {
      isClosed = true
      // Without this the process might end before the thread has.
      worker.ref()
      await worker.terminate()
    },
  }
}

const OVER = 'The keeper has ended: from now on no lease outlives an event loop that is blocked for longer than its ttl'

function ownFile(): URL {
  // Each time in full: this is what the build replaces for CommonJS.
  if (!import.meta.url) throw new TypeError(MISSING)
  return new URL(import.meta.url.endsWith('.ts') ? SOURCE : FILE, import.meta.url)
}

const MISSING =
  'Expected the file of the keeper beside the code of leasewheel, which a bundler has moved: copy `leasewheel/keeper-worker` there too, and pass its URL as `keeper.worker`'

function checkFile(file: URL): void {
  if (file.protocol === 'file:' && !existsSync(fileURLToPath(file)))
    throw new TypeError(`${MISSING}; it is not ${file.href}`)
}
