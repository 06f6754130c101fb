/** What quorums get wrong elsewhere, or would have got wrong here. */
import { quorumsFrom, type Regression, tests } from './regression.ts'

const ACQUIRING = 'src/quorum/acquiring.ts'
const QUORUM = 'test/quorum/quorum.test.ts'

export const QUORUM_BUGS: readonly Regression[] = [
  {
    failure: 'the largest fence of a quorum was handed out although no majority knew it',
    patches: [
      { file: ACQUIRING, find: 'if (ballot.agreed >= majority) put(', replace: 'if (ballot.agreed >= 0) put(' },
    ],
    harness: tests(QUORUM, 'are known to a majority'),
    report: /are known to a majority/,
  },
  {
    failure: 'a renewal wrote lost keys again although no majority had confirmed the lease',
    patches: [
      {
        file: 'src/quorum/healing.ts',
        find: 'lacks(index) && isConfirmed(index) && ',
        replace: 'lacks(index) && ',
      },
    ],
    harness: tests(QUORUM, 'gets none without a majority'),
    report: /gets none without a majority/,
  },
  {
    failure: 'a lost key was written again after the release of its lock',
    patches: [{ file: 'src/quorum/healing.ts', find: ' && !ended.has(token)', replace: '' }],
    harness: tests(QUORUM, 'released meanwhile'),
    report: /released meanwhile/,
  },
  {
    failure: 'a restarted empty member helped a second holder to a majority',
    patches: [
      {
        file: 'src/quorum/quorum-member.ts',
        find: 'return now >= this.#quarantinedUntil\n',
        replace: 'return now >= this.#quarantinedUntil || this.backend !== undefined\n',
      },
    ],
    harness: tests(QUORUM, 'does not help to a second holder'),
    report: /does not help to a second holder/,
  },
  {
    failure: 'a majority of the members that could be reached was enough',
    patches: [
      {
        file: ACQUIRING,
        find: 'const { members, majority, clock, closed } = this.#council\n',
        replace:
          'const { members, clock, closed } = this.#council\n    const majority = Math.floor(members.filter(({ usable }) => usable).length / 2) + 1\n',
      },
      {
        file: ACQUIRING,
        find: 'new AcquireVotes(members.length, voters.size)',
        replace: 'new AcquireVotes(voters.size, voters.size)',
      },
    ],
    harness: tests(QUORUM, 'members that can be reached'),
    report: /members that can be reached/,
  },
  {
    failure: 'a lock that was not acquired was given back only where it had been granted',
    patches: [
      {
        file: 'src/quorum/attempt.ts',
        find: "(everAsked & member.bit) !== 0 && answer?.[position]?.type !== 'refused'",
        replace: "(everAsked & member.bit) !== 0 && answer?.[position]?.type === 'granted'",
      },
    ],
    harness: tests(QUORUM, 'was refused for, or hung meanwhile'),
    report: /was refused for, or hung meanwhile/,
  },
  {
    failure: 'the deadline of a lease counted from the last request to a member, not from the first',
    patches: [
      {
        file: 'src/requests/sending.ts',
        find: 'tally.onAnswered(now - sentAt, now, this.#route)',
        replace: 'tally.onAnswered(now - sentAt, now, this.#route)\n          this.#sentAt = now',
      },
    ],
    harness: tests(QUORUM, 'ends by the first request'),
    report: /ends by the first request/,
  },
  {
    failure: 'a deletion of an earlier attempt took the key of the next one away',
    patches: [
      { file: ACQUIRING, find: 'if (this.#spent.has(token))', replace: "if (token === '')" },
      { file: 'src/rules/doubt.ts', find: '  if (givenBack) return undefined\n', replace: '' },
    ],
    harness: tests(QUORUM, 'for an earlier attempt that arrives late'),
    report: /for an earlier attempt that arrives late/,
  },
  {
    failure: 'a manager that got no answer in time asked once more with a token that the quorum was deleting',
    patches: [{ file: ACQUIRING, find: 'if (this.#spent.has(token))', replace: "if (token === '')" }],
    harness: tests(QUORUM, 'with a token that was given back'),
    report: /with a token that was given back/,
  },
  {
    failure: 'a request that was carried out long after its connection had broken left a key behind',
    patches: [
      {
        file: 'src/quorum/undoing.ts',
        find: "if (outcome === 'unknown' || (mayLand && outcome !== 'done'))",
        replace: "if (outcome === 'unknown')",
      },
    ],
    harness: tests(QUORUM, 'lands after the release'),
    report: /lands after the release/,
  },
  {
    failure: 'a vote for an attempt that was repeated stayed on a member that was away in the end',
    patches: [
      { file: ACQUIRING, find: '        call.asked |= member.bit\n', replace: '        call.asked = member.bit\n' },
    ],
    harness: tests(QUORUM, 'away when it is asked for again'),
    report: /away when it is asked for again/,
  },
  {
    failure: 'a list showed keys twice because a member that was walked later answered slowly',
    patches: [
      {
        file: 'src/quorum/quorum-catalogue.ts',
        find: 'askOf(member, look), needed)',
        replace: 'askOf(member, look), needed.slice(0, 0))',
      },
    ],
    harness: tests('test/quorum/quorum-catalogue.test.ts', 'answers slowly'),
    report: /answers slowly/,
  },
  {
    failure: 'a list left out a key that one member had lost',
    patches: [
      {
        file: 'src/quorum/quorum-catalogue.ts',
        find: '.slice(0, size - majority + 1)',
        replace: '.slice(0, size - majority)',
      },
    ],
    harness: tests('test/quorum/quorum-catalogue.test.ts', 'is not on the first members, of 3'),
    report: /is not on the first members/,
  },
  {
    failure: 'the deadline of a lease was counted from the answer, in a simulated world',
    patches: [
      {
        file: 'src/requests/sending.ts',
        find: 'tally.onAnswered(now - sentAt, now, this.#route)',
        replace: 'tally.onAnswered(now - sentAt, now, this.#route)\n          this.#sentAt = now',
      },
    ],
    harness: quorumsFrom(24_000_033),
    report: /^P(1|7|32):/,
  },
  {
    failure: 'lost keys were written again under a lease without a majority, in a simulated world',
    patches: [
      {
        file: 'src/quorum/healing.ts',
        find: 'lacks(index) && isConfirmed(index) && ',
        replace: 'lacks(index) && ',
      },
    ],
    harness: quorumsFrom(24_000_075),
    report: /^P32:/,
  },
]
