/** The replies that servers were seen to send, and how they are classified. */
import { expect } from 'chai'
import { Redis } from 'ioredis'
import { codeOf, explainReply, isReply, kindOf, refusesCommand } from '#src/redis/reply-fault.js'
import { UnavailableError } from 'leasewheel'
import { rejectionOf } from './support.ts'
import { withRedis } from '../support/redis-server.ts'

const SHA = '1f8f4cfba6f3375f8c4ec02b9de4361a5dea5c64'
const IN_SCRIPT = `script: ${SHA}, on @user_script:1.`
/** How Redis 6.2 puts it. */
const FAILED_SCRIPT = `ERR Error running script (call to f_${SHA}): @user_script:1:`

const REPLIES = {
  final: [
    "CROSSSLOT Keys in request don't hash to the same slot",
    'MOVED 3999 127.0.0.1:6381',
    'ASK 3999 127.0.0.1:6381',
    "ERR unknown command 'evalsha', with args beginning with: '1' 'a' ",
    'ERR unknown command `evalsha`, with args beginning with: `1`',
    "ERR command 'eval' is not allowed",
    "NOPERM this user has no permissions to run the 'evalsha' command",
    "NOPERM User worker has no permissions to run the 'evalsha' command",
    "NOPERM this user has no permissions to run the 'evalsha' command or its subcommand",
    `ERR The user executing the script can't run this command or subcommand ${IN_SCRIPT}`,
    `ERR ACL failure in script: User worker has no permissions to run the 'set' command ${IN_SCRIPT}`,
    `${FAILED_SCRIPT} -NOPERM The user executing the script can't run this command or subcommand`,
  ],
  key: [
    'NOPERM this user has no permissions to access one of the keys used as arguments',
    'NOPERM No permissions to access a key',
    `ERR ACL failure in script: No permissions to access a key ${IN_SCRIPT}`,
    `WRONGTYPE Operation against a key holding the wrong kind of value ${IN_SCRIPT}`,
    `${FAILED_SCRIPT} WRONGTYPE Operation against a key holding the wrong kind of value`,
  ],
  passing: [
    'LOADING Redis is loading the dataset in memory',
    `READONLY You can't write against a read only replica. ${IN_SCRIPT}`,
    `${FAILED_SCRIPT} -READONLY You can't write against a read only replica.`,
    `OOM command not allowed when used memory > 'maxmemory'. ${IN_SCRIPT}`,
    `${FAILED_SCRIPT} @user_script: 1: -OOM command not allowed when used memory > 'maxmemory'.`,
    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    'CLUSTERDOWN Hash slot not served',
    'TRYAGAIN Multiple keys request during rehashing of slot',
    'BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.',
    `NOREPLICAS Not enough good replicas to write. ${IN_SCRIPT}`,
    'MISCONF Redis is configured to save RDB snapshots, but it is currently unable to persist to disk.',
    'NOSCRIPT No matching script. Please use EVAL.',
    'NOAUTH Authentication required.',
    'WRONGPASS invalid username-password pair or user is disabled.',
    'ERR max number of clients reached',
  ],
  unclear: [
    `ERR value is not an integer or out of range ${IN_SCRIPT}`,
    'ERR no upstream host',
    'ERR something about commands that is new',
  ],
} as const

describe('an error reply', () => {
  for (const [kind, replies] of Object.entries(REPLIES)) {
    it(`is ${kind} by its words`, () => {
      for (const message of replies) expect(kindOf(new Error(message)), message).to.equal(kind)
    })
  }

  it('has a code, also if Redis before 7 puts words in front of it', () => {
    expect(codeOf(new Error(`READONLY You can't write. ${IN_SCRIPT}`))).to.equal('READONLY')
    expect(codeOf(new Error(`${FAILED_SCRIPT} -READONLY You can't write.`))).to.equal('READONLY')
    expect(codeOf(new Error(''))).to.equal('')
  })

  it('refuses the command itself, or one that a script calls', () => {
    const refused = REPLIES.final.filter((message) => refusesCommand(new Error(message)))
    expect(refused).to.deep.equal(REPLIES.final.slice(3, 9))
    expect(refusesCommand(new Error(REPLIES.key[0]))).to.equal(false)
  })

  for (const [what, message, expected] of [
    ['a node of a cluster', REPLIES.final[0], /node of a Redis Cluster/],
    ['a port of a Sentinel', REPLIES.final[3], /not to a Sentinel or a proxy/],
    ['a command that the ACL denies', REPLIES.final[6], /ACL denies the user a command/],
    [
      'a key that the ACL denies',
      REPLIES.key[0],
      /ACL denies the user the key `a` or the fence counter `leasewheel:fence`, in a cluster `leasewheel:fence:\*`; allow both/,
    ],
  ] as const) {
    it(`is explained as final, with what to do: ${what}`, () => {
      const reply = new Error(message)
      const error = explainReply(reply, 'a')
      expect(error).to.be.instanceOf(UnavailableError).and.include({ final: true, key: 'a', cause: reply })
      expect(error.message).to.match(expected).and.include(message)
    })
  }

  it('is left as it is if it may change', () => {
    for (const message of [...REPLIES.passing, ...REPLIES.unclear, REPLIES.key[3]]) {
      const reply = new Error(message)
      expect(explainReply(reply)).to.equal(reply)
    }
  })

  it('is known whatever its class is called: a minifier renames it', () =>
    withRedis(async (server) => {
      const client = new Redis(server.url)
      const reply = await rejectionOf(client.call('NONSENSE'))
      client.disconnect()
      Object.defineProperty(reply, 'name', { value: 'a' })
      expect(isReply(reply)).to.equal(true)
    }))

  it('is told apart from what ioredis says of commands that it gave up', () =>
    withRedis(async (server) => {
      const client = new Redis(server.url, { retryStrategy: () => null, maxRetriesPerRequest: 0 })
      client.on('error', () => undefined)
      expect(isReply(await rejectionOf(client.call('NONSENSE')))).to.equal(true)
      const given = [client.blpop('queue', 0), client.multi().get('a').exec()].map(async (call) => rejectionOf(call))
      client.disconnect()
      given.push(rejectionOf(client.get('a')))
      for (const error of await Promise.all(given)) expect(isReply(error), error.message).to.equal(false)
      expect(isReply('NOPERM')).to.equal(false)
    }))
})
