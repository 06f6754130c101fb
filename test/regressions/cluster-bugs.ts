/** Bugs that a cluster brings with it: those of other clients, and those of ours while it was built. */
import { type Regression, tests } from './regression.ts'

const MAP = 'src/redis/cluster/map-keeper.ts'
const REQUESTS = 'src/redis/cluster/slot-requests.ts'

const NODES = 'src/redis/cluster/cluster-map.ts'
const STRANGERS = 'src/redis/cluster/strangers.ts'
const NEWS = 'src/redis/cluster/route-news.ts'

const MAPS = 'test/redis/cluster/cluster-map.test.ts'
const NEWS_TESTS = 'test/redis/cluster/route-news.test.ts'
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
    patches: [
      {
        file: 'src/redis/cluster/belief.ts',
        find: '!outcomes.some((outcome) => kind.ends(outcome)) ||',
        replace: 'outcomes.length > 0 ||',
      },
    ],
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
    patches: [
      { file: REQUESTS, find: 'else if (isToBeWatched)', replace: 'else if (isToBeWatched && entries.length === 0)' },
    ],
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
    patches: [{ file: MAP, find: 'if (this.#wished) return', replace: 'if (this.#failures > 9) return' }],
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
        file: STRANGERS,
        find: 'if (!hasOthers && this.#known.length === 0) await lookUp',
        replace: 'if (this.#known) await lookUp',
      },
    ],
    harness: tests(MAPS, 'cannot be looked up'),
    report: /cannot be looked up/,
  },
  {
    failure: 'the nodes that the application named were never asked again if eight others had gone',
    patches: [{ file: STRANGERS, find: 'this.#turns = start + MOST_SCOUTS', replace: 'this.#turns = start' }],
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
      {
        file: 'src/redis/cluster/scout.ts',
        find: '    if (this.#closed) throw new',
        replace: '    if (this.#closed && !this.#source) throw new',
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
    patches: [
      { file: 'src/redis/cluster/unknown-of.ts', find: 'thrown, error.cause as Error', replace: 'thrown, error' },
    ],
    harness: tests(MAPS, 'is named once'),
    report: /is named once/,
  },
  {
    failure: 'leases of a slot that had moved key by key were not watched until their next renewal',
    patches: [
      {
        file: 'src/redis/cluster/watching-again.ts',
        find: '        await this.#parts.watch(',
        replace: '        void (',
      },
    ],
    harness: tests(MOVES, 'is watched at its new owner, though nobody asks'),
    report: /is watched at its new owner, though nobody asks/,
  },
  {
    failure: 'the end of a move was noticed only with the next regular map',
    patches: [{ file: MAP, find: 'this.#parts.isUnsettled() ? LONGEST : USUAL', replace: 'USUAL' }],
    harness: tests(KEEPER, 'while the end of a move is awaited'),
    report: /while the end of a move is awaited/,
  },
  {
    failure: 'a failover was forgotten because slots that nobody had served came back at that time',
    patches: [{ file: NEWS, find: 'if (!this.#news.has(route)) this.#news.set(', replace: 'this.#news.set(' }],
    harness: tests(NEWS_TESTS, 'is not forgotten because its slots come back'),
    report: /is not forgotten because its slots come back/,
  },
  {
    failure: 'after a failover all leases were renewed twice, because the node reported changes a moment later',
    patches: [{ file: NEWS, find: 'tracking === undefined || tracking.active', replace: 'route >= 0' }],
    harness: tests(NEWS_TESTS, 'so that all is renewed once'),
    report: /so that all is renewed once/,
  },
  {
    failure:
      'after a planned failover the event loop stood still: the old master named each key that was renewed at the new one',
    patches: [{ file: NODES, find: '        if (demoted.has(node.route)) node.tracking?.pause()\n', replace: '' }],
    harness: tests(MAPS, 'that a replica has replaced names keys in vain'),
    report: /that a replica has replaced names keys in vain/,
  },
  {
    failure: 'a master that had been replaced for a while was not listened to when it served slots again',
    patches: [{ file: NODES, find: '        node.tracking?.resume()\n', replace: '' }],
    harness: tests(MAPS, 'that a replica has replaced names keys in vain'),
    report: /that a replica has replaced names keys in vain/,
  },
  {
    failure: 'all leases of a demoted master were renewed there, because it dropped its keys',
    patches: [
      {
        file: NODES,
        find: '    void this.#keeper.fresh().then(() => {',
        replace: '    void Promise.resolve().then(() => {',
      },
    ],
    harness: tests(MAPS, 'unless it drops them because it serves them no more'),
    report: /unless it drops them because it serves them no more/,
  },
  {
    failure: 'after MOVED the map was asked for at a node that did not know of it yet',
    patches: [{ file: NODES, find: '    this.#teller = from\n', replace: '    this.#teller = undefined\n' }],
    harness: tests(MAPS, 'at the node that sent a call to another'),
    report: /at the node that sent a call to another/,
  },
  {
    failure: 'years of new addresses needed more and more routes',
    patches: [{ file: 'src/redis/cluster/route-numbers.ts', find: '    this.#free.push(number)\n', replace: '' }],
    harness: tests('test/redis/cluster/route-numbers.test.ts', 'no more numbers than nodes'),
    report: /no more numbers than nodes/,
  },
  {
    failure: 'the replica of a master that was away was connected only after it had taken over',
    patches: [
      {
        file: NODES,
        find: 'troubled.flatMap(({ route }) => this.#replicas.get(route) ?? [])',
        replace: 'troubled.flatMap(({ route }) => this.#replicas.get(-2 - route) ?? [])',
      },
    ],
    harness: tests(REDIRECTIONS, 'is connected, and asked, before it takes over'),
    report: /is connected, and asked, before it takes over/,
  },
  {
    failure: 'after a failover thousands of redirected calls went on one by one',
    patches: [{ file: REQUESTS, find: 'if (target && some.length > 1)', replace: 'if (target && some.length > 1e6)' }],
    harness: tests(REDIRECTIONS, 'followed by all of their calls together'),
    report: /followed by all of their calls together/,
  },
  {
    failure: 'each of thousands of calls under way to a node that died had an error of its own',
    patches: [
      {
        file: REQUESTS,
        find: '    if (fault) shareFault(lost, fault, put)',
        replace: '    if (fault) for (const part of lost) shareFault([part], node.explain(fault), put)',
      },
    ],
    harness: tests(REDIRECTIONS, 'under way with one error'),
    report: /under way with one error/,
  },
  {
    failure: 'two nodes that disagreed sent a call to and fro without a pause',
    patches: [
      {
        file: 'src/redis/cluster/redirects.ts',
        find: 'requests > 1 ? 2 ** (requests - 1) : 0',
        replace: 'requests > 1e6 ? 2 ** (requests - 1) : 0',
      },
    ],
    harness: tests(REDIRECTIONS, 'MOVED to and fro'),
    report: /MOVED to and fro/,
  },
]
