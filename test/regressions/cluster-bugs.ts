/** Bugs that a cluster brings with it: those of other clients, and those of ours while it was built. */
import { type Regression, tests } from './regression.ts'

const MAP = 'src/redis/cluster/map-keeper.ts'
const REQUESTS = 'src/redis/cluster/slot-requests.ts'

const NODES = 'src/redis/cluster/cluster-map.ts'

const MAPS = 'test/redis/cluster/cluster-map.test.ts'
const KEEPER = 'test/redis/cluster/map-keeper.test.ts'
const MOVES = 'test/redis/cluster/moves.test.ts'
const REDIRECTIONS = 'test/redis/cluster/redirections.test.ts'

export const CLUSTER_BUGS: readonly Regression[] = [
  {
    failure: 'the map of the cluster was never refreshed',
    patches: [
      {
        file: MAP,
        find: 'if (this.#closed || this.#asking || dueAt >= this.#dueAt) return',
        replace: 'if (dueAt >= 0) return',
      },
    ],
    harness: tests(REDIRECTIONS, 'is asked for again after MOVED'),
    report: /is asked for again after MOVED/,
  },
  {
    failure: 'a refusal of a node that only MOVED had named ended a lease',
    patches: [{ file: REQUESTS, find: '!outcomes.some((outcome) => kind.ends(outcome)) ||', replace: 'outcomes.length > 0 ||' }],
    harness: tests(REDIRECTIONS, 'no map confirms'),
    report: /no map confirms/,
  },
  {
    failure: 'after a slot had moved, its fences went on from the counter of the old owner’s past',
    patches: [
      {
        file: 'src/redis/cluster/fence-floors.ts',
        find: 'return this.#doubtful[slot] === 1 ?',
        replace: 'return this.#doubtful[slot] === 2 ?',
      },
    ],
    harness: tests(MOVES, 'even if the new node has lost the counter'),
    report: /even if the new node has lost the counter/,
  },
  {
    failure: 'keys that were renewed behind ASKING were taken for watched',
    patches: [{ file: REQUESTS, find: 'if (asking) this.#unwatched.add', replace: 'if (!asking) this.#unwatched.add' }],
    harness: tests(MOVES, 'nobody watches them'),
    report: /nobody watches them/,
  },
  {
    failure: 'a replica that no map had named yet took over, and its leases were not renewed',
    patches: [{ file: 'src/redis/cluster/slot-table.ts', find: '(other >= 0 && ', replace: '(other < -1 && ' }],
    harness: tests('test/redis/cluster/slot-table.test.ts', 'no map named it as a replica'),
    report: /no map named it as a replica/,
  },
  {
    failure: 'a node without slots counted as connected as soon as a new map came',
    patches: [
      {
        file: 'src/redis/cluster/redirects.ts',
        find: '      const connected = node.connected()',
        replace: '      const connected = node.ready()',
      },
    ],
    harness: tests(REDIRECTIONS, 'whatever maps come meanwhile'),
    report: /whatever maps come meanwhile/,
  },
  {
    failure: 'a wish for a new map was forgotten if an older one was on its way',
    patches: [{ file: MAP, find: 'return this.#wished ? this.#wishPause() :', replace: 'return' }],
    harness: tests(KEEPER, 'while another is under way'),
    report: /while another is under way/,
  },
  {
    failure: 'with a key prefix of the Cluster itself no change of a key was ever told',
    patches: [
      {
        file: 'src/redis/cluster/cluster-source.ts',
        find: 'host, port, keyPrefix, db: 0',
        replace: 'host, port, db: 0',
      },
    ],
    harness: tests('test/redis/cluster/clients.test.ts', 'changes of keys are told without it'),
    report: /changes of keys are told without it/,
  },
  {
    failure: 'a resolver that hung kept the map from being renewed',
    patches: [
      {
        file: NODES,
        find: 'if (sound.length + this.#known.length === 0) await lookUp',
        replace: 'if (sound) await lookUp',
      },
    ],
    harness: tests(MAPS, 'cannot be looked up'),
    report: /cannot be looked up/,
  },
  {
    failure: 'the nodes that the application named were never asked again if eight others had gone',
    patches: [{ file: NODES, find: 'this.#turns = start + MOST_SCOUTS', replace: 'this.#turns = start' }],
    harness: tests(MAPS, 'if all others are gone'),
    report: /if all others are gone/,
  },
  {
    failure: 'a backend that was closed made new connections to nodes',
    patches: [
      {
        file: NODES,
        find: '    if (this.#closed) throw new',
        replace: '    if (this.#closed && !this.#table) throw new',
      },
    ],
    harness: tests(MAPS, '(once the backend|while the backend) is closed'),
    report: /is not (asked for any more|connected to)/,
  },
  {
    failure: 'an error did not name the node that could not be asked',
    patches: [
      {
        file: NODES,
        find: 'new UnavailableError(`Node ${node.name}: ${cause.message}`, undefined, { cause })',
        replace: 'cause',
      },
    ],
    harness: tests(MAPS, 'has its name in the reason'),
    report: /has its name in the reason/,
  },
  {
    failure: 'a report of a node that refuses requests named the node twice',
    patches: [{ file: REQUESTS, find: 'thrown, error.cause as Error', replace: 'thrown, error' }],
    harness: tests(MAPS, 'is named once'),
    report: /is named once/,
  },
]
