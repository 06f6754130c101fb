/** Bugs of permits, and of locks for readers and writers. */
import { type Regression, tests } from './regression.ts'

const PERMITS = 'test/acquire/permits.test.ts'
const READ_WRITE = 'test/acquire/read-write.test.ts'

export const JOINT_BUGS: readonly Regression[] = [
  {
    failure: 'a crashed writer blocked readers for ever',
    patches: [
      {
        file: 'src/rules/sharing.ts',
        find: '[...sharing.holders].filter(([, { until }]) => until <= now)',
        replace: '[...sharing.holders].filter(([, { until }]) => until <= now - 1e12)',
      },
    ],
    harness: tests(READ_WRITE, 'P33 of a dead process are free'),
    report: /P33 of a dead process/,
  },
  {
    failure: 'a permit leaked at an unanswered acquire',
    patches: [
      {
        file: 'src/release/releaser.ts',
        find: 'this.#delete({ entry: { key, token, ttl, joint }, timeout, until, unanswered })',
        replace: 'this.#delete({ entry: { key, token, ttl, joint: joint && undefined }, timeout, until, unanswered })',
      },
    ],
    harness: tests(PERMITS, 'P11 leave none behind'),
    report: /P11 leave none behind/,
  },
  {
    failure: 'a process that held all permits passed them on to its own callers only',
    patches: [
      {
        file: 'src/waiting/waiting-line.ts',
        find: 'if (outcome.version === undefined || this.offer) this.fairness.onRefused()',
        replace: 'this.fairness.onRefused()',
      },
    ],
    harness: tests(PERMITS, 'are shared fairly'),
    report: /are shared fairly/,
  },
  {
    failure: 'a permit that was released while a first attempt was under way woke nobody',
    patches: [
      {
        file: 'src/lease/reservations.ts',
        find: '    if (joint) this.hint(key)\n    else this.#hintJoints(key)\n',
        replace: '    if (joint) return\n',
      },
    ],
    harness: tests(PERMITS, 'P23 wake a caller whose first attempt'),
    report: /P23 wake a caller whose first attempt/,
  },
  {
    failure: 'callers that asked for permits together went on in the reverse order',
    patches: [
      {
        file: 'src/waiting/waiting-line.ts',
        find: 'let ahead = isFirst ? undefined : line.last',
        replace: 'let ahead = isFirst || waiter.number > 0 ? undefined : line.last',
      },
    ],
    harness: tests(PERMITS, 'go to waiters in the order'),
    report: /go to waiters in the order/,
  },
  {
    failure:
      'a key was free for two seconds, because a reader said that it waits, behind a plain lock that it kept out',
    patches: [
      {
        file: 'src/lease/reservations.ts',
        find: 'if (!joint?.announce || !this.#hasOther(key, joint.mode)) return joint',
        replace: 'if (!joint?.announce || !this.#hasOther(key, joint.mode) || joint.announce > 0) return joint',
      },
    ],
    harness: tests('test/acquire/mixed-kinds.test.ts', 'as soon as a write is over'),
    report: /as soon as a write is over/,
  },
  {
    failure: 'a downgrade of a lease that was released meanwhile never came to an end',
    patches: [
      {
        file: 'src/manager/downgrade.ts',
        find: 'await Promise.race([renewed(parts, record), ended.then(() => undefined)])',
        replace:
          'await Promise.race([renewed(parts, record), ended.then(() => new Promise<undefined>(() => undefined))])',
      },
    ],
    harness: tests(READ_WRITE, 'a downgrade ends with its lease'),
    report: /a downgrade ends with its lease/,
  },
  {
    failure: 'a reader that waited woke a writer that waited, which woke the reader, and so on',
    patches: [
      {
        file: 'src/rules/sharing.ts',
        find: '  if (sharing[name] >= now + duration / 2) return sharing\n',
        replace: '',
      },
    ],
    harness: tests(READ_WRITE, 'ask for a key that stays taken'),
    report: /ask for a key that stays taken/,
  },
  {
    failure: 'a call for permits on a quorum rejected all callers that waited for the key',
    patches: [
      {
        file: 'src/acquire/failures.ts',
        find: 'if (joint === undefined || backend.joints) return\n',
        replace: "if (joint === undefined || typeof backend === 'object') return\n",
      },
    ],
    harness: tests('test/manager/missing-abilities.test.ts', 'and is not asked'),
    report: /and is not asked/,
  },
  {
    failure: 'permits went on although a semaphore of another library had taken their key',
    patches: [
      {
        file: 'src/redis/joint-scripts.ts',
        find: 'local version = micros % 1e11',
        replace: 'local version = micros',
      },
    ],
    harness: tests('test/redis/joints.test.ts', 'is lost at its renewal'),
    report: /is lost at its renewal/,
  },
  {
    failure: 'a permit whose joint was malformed was adopted as a plain lock',
    patches: [
      {
        file: 'src/options/joint.ts',
        find: "  if (mode !== 'permit') {\n",
        replace: "  if (mode === undefined) return undefined\n  if (mode !== 'permit') {\n",
      },
    ],
    harness: tests(PERMITS, 'are not adopted if what is joint'),
    report: /are not adopted if what is joint/,
  },
  {
    failure: 'a permit was asked for before the release that made room for it had left',
    patches: [
      {
        file: 'src/requests/dispatch.ts',
        find: 'if (request.joint) this.#nextJoint.push(request)',
        replace: 'if (request.joint) this.acquire(request)',
      },
    ],
    harness: tests(PERMITS, 'where each request leaves at once'),
    report: /where each request leaves at once/,
  },
]
