/**
 * Names what is no ioredis client although it looks like a connection to Redis, and says what to do. By its shape:
 * class names change in bundles.
 */

/** Options that say where a server is, in the words of several libraries. */
const ADDRESS_OPTIONS = ['host', 'port', 'path', 'url', 'socket', 'sentinels', 'addresses', 'nodes']

const MAKE_A_CLIENT = 'make an ioredis client for the same server, or pass its URL'

/** @returns what came and what to do, to stand behind `got`; undefined for anything that is not known here. */
export function nameForeignClient(value: object): string | undefined {
  // Its clusters too.
  if (isFunction(value, 'defineCommand') && 'expires' in value && 'data' in value) {
    return 'an ioredis-mock: in tests pass a `MemoryBackend` of leasewheel/memory'
  }
  if (isCluster(value)) return 'a Redis Cluster client: clusters are not supported yet'
  if ((isFunction(value, 'sendCommand') && 'isOpen' in value) || isFunction(value, 'internal_send_command')) {
    return `a client of node-redis: ${MAKE_A_CLIENT}`
  }
  if (isFunction(value, 'customCommand')) return `a client of Valkey GLIDE: ${MAKE_A_CLIENT}`
  if (value instanceof Promise || isFunction(value, 'then')) return 'a promise: await it'
  if (value instanceof URL) return 'a URL object: pass its `href`'
  if (Array.isArray(value)) return 'an array: one manager works with one server'
  if (ADDRESS_OPTIONS.some((name) => name in value) && !isFunction(value, 'connect')) {
    return 'an object of options: pass a client made of it, `new Redis(options)`'
  }
  return undefined
}

/** A client of ioredis or iovalkey for several nodes. */
function isCluster(value: object): boolean {
  return 'isCluster' in value && value.isCluster === true
}

function isFunction(value: object, name: string): boolean {
  return typeof Reflect.get(value, name) === 'function'
}
