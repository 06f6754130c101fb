/** Bugs that this project has had with clients, URLs and what servers refuse. */
import { type Regression, tests } from './regression.ts'

const BACKEND = 'src/redis/redis-backend.ts'
const CREATE = 'src/redis/create-backend.ts'
const REPLIES = 'src/redis/reply-fault.ts'
const SCRIPT = 'src/redis/script.ts'
const TOLD = 'src/redis/told-faults.ts'

const CLIENT_TESTS = 'test/redis/clients.test.ts'
const REFUSAL_TESTS = 'test/redis/refused-requests.test.ts'

export const CLIENT_BUGS: readonly Regression[] = [
  {
    failure: 'a node-redis client passed for ioredis, and its address was ignored',
    patches: [
      { file: CREATE, find: 'if (name !== undefined) throw', replace: "if (name?.includes('Cluster')) throw" },
      {
        file: CREATE,
        find: "  if (!hasMethods(value, CLIENT_METHODS) || !('status' in value && typeof value.status === 'string')) return false\n",
        replace: "  if (hasMethods(value, ['duplicate']) && 'options' in value) return true\n",
      },
    ],
    harness: tests(CLIENT_TESTS, 'named: a client of node-redis 4'),
    report: /a client of node-redis 4/,
  },
  {
    failure: 'a URL with a path that is no number meant database 0',
    patches: [{ file: 'src/redis/server-url.ts', find: '/^\\d{0,9}$/.test(text)', replace: 'text.length < 10' }],
    harness: tests(CLIENT_TESTS, 'no password shown'),
    report: /no password shown: redis:/,
  },
  {
    failure: 'percent-encoded digits in the path of a URL meant database 0',
    patches: [{ file: 'src/redis/server-url.ts', find: 'decoded(url.pathname)', replace: 'url.pathname' }],
    harness: tests(CLIENT_TESTS, 'leads to database'),
    report: /%32/,
  },
  {
    failure: 'one key that the ACL denied failed all its neighbours in the batch',
    patches: [
      {
        file: 'src/redis/cut-up.ts',
        find: 'entries.length === 1 || !isReply',
        replace: 'entries.length > 0 || !isReply',
      },
    ],
    harness: tests(REFUSAL_TESTS, 'P20 fails alone'),
    report: /P20 fails alone/,
  },
  {
    failure: 'a command that the ACL denies was repeated again and again',
    patches: [{ file: REPLIES, find: 'final: true', replace: 'final: false' }],
    harness: tests(REFUSAL_TESTS, 'is final inside a script'),
    report: /is final inside a script/,
  },
  {
    failure: 'no event reported a server that refuses everything for a while',
    patches: [{ file: TOLD, find: '    if (!isNew) return\n', replace: '    if (isNew || !isNew) return\n' }],
    harness: tests(REFUSAL_TESTS, 'REPLICAOF'),
    report: /REPLICAOF/,
  },
  {
    failure: 'each request reported again that a server refuses everything for a while',
    patches: [{ file: TOLD, find: '    if (!isNew) return\n', replace: '' }],
    harness: tests(REFUSAL_TESTS, 'REPLICAOF'),
    report: /REPLICAOF/,
  },
  {
    failure: 'scripts were known by EVAL alone, which newer servers evict',
    patches: [{ file: SCRIPT, find: 'isNew && memory.loads && memory.runsBySha', replace: 'isNew && false' }],
    harness: tests(REFUSAL_TESTS, 'is loaded before it is run'),
    report: /is loaded before it is run/,
  },
  {
    failure: 'a script sent again after the server had forgotten it watched nothing',
    patches: [
      {
        file: SCRIPT,
        find: 'sendOne(wholeWire(script, call), leading?.lead)',
        replace: 'sendOne(wholeWire(script, call))',
      },
    ],
    harness: tests(REFUSAL_TESTS, 'the server has forgotten it'),
    report: /the server has forgotten it/,
  },
  {
    failure: 'six renewals in a row failed if only EVAL was allowed, not EVALSHA',
    patches: [
      {
        file: SCRIPT,
        find: '      if (refusesCommand(error)) memory.runsBySha = false\n      else if (!error',
        replace: '      if (!error',
      },
    ],
    harness: tests(REFUSAL_TESTS, 'works without EVALSHA'),
    report: /works without EVALSHA/,
  },
  {
    failure: 'scripts named their keys through a variable, which some services refuse',
    patches: [
      {
        file: 'src/redis/scripts.ts',
        find: '\nlocal count = #KEYS - 1\n',
        replace: '\nlocal keys = KEYS\nlocal count = #keys - 1\n',
      },
    ],
    harness: tests('test/redis/scripts.test.ts', 'literally'),
    report: /literally/,
  },
  {
    failure: 'replies were recognised by class names, which a minifier changes',
    patches: [
      {
        file: REPLIES,
        find: "'command' in error && !error.message.startsWith(ABORTED)",
        replace: "error.name === 'ReplyError'",
      },
    ],
    harness: tests('test/redis/reply-fault.test.ts', 'whatever its class is called'),
    report: /whatever its class is called/,
  },
  {
    failure: 'two splits of one key between keyPrefix and prefix used two fence counters',
    patches: [
      {
        file: BACKEND,
        find: 'ttlsOf(some), FENCE_KEY)',
        replace: 'ttlsOf(some), this.#open.pair.commands.keyPrefix + FENCE_KEY)',
      },
    ],
    harness: tests('test/redis/connection.test.ts', 'counts the fences of a key on'),
    report: /P6 counts the fences/,
  },
  {
    failure: 'a lock could have the key of the fence counter through the client’s keyPrefix',
    patches: [
      {
        file: BACKEND,
        find: 'return FENCE_KEY.startsWith(this.#prefix) ? FENCE_KEY.slice(this.#prefix.length) : undefined',
        replace: 'return this.#prefix && undefined',
      },
    ],
    harness: tests('test/redis/connection.test.ts', 'refuses the key that would be the fence counter'),
    report: /refuses the key that would be/,
  },
  {
    failure: 'a failure that was read late marked a newer connection as broken',
    patches: [
      {
        file: 'src/redis/connection.ts',
        find: 'if (!this.client.stream?.writable) this.#setUnusable()',
        replace: 'this.#setUnusable()',
      },
    ],
    harness: tests('test/redis/connection.test.ts', 'only while that is so'),
    report: /only while that is so/,
  },
]
