/**
 * Recognises connections to Redis that are no ioredis clients, and says what to do. Checks the shape, because class names
 * change in bundles.
 */

/** Names of options for the address of a server, from several libraries. */
const ADDRESS_OPTIONS = ['host', 'port', 'path', 'url', 'socket', 'sentinels', 'addresses', 'nodes']

const MAKE_A_CLIENT = 'make an ioredis client for the same server, or pass its URL'

/** @returns what came and what to do, to follow `got` in a message; undefined for an unknown object. */
export function nameForeignClient(value: object): string | undefined {
  // Includes its clusters.
  if (isFunction(value, 'defineCommand') && 'expires' in value && 'data' in value) {
    return 'an ioredis-mock: in tests pass a `MemoryBackend` of leasewheel/memory'
  }
  if (isCluster(value)) return 'a Redis Cluster client of another kind: make an ioredis `Cluster` for the same nodes'
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
