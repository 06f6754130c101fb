/** What goes wrong in elections, claims, shares and jobs that are written by hand. */
import { type Regression, tests } from './regression.ts'

const ELECTION = 'src/claims/election.ts'
const PURSUIT = 'src/claims/pursuit.ts'
const GROUP = 'src/claims/group.ts'

export const STANDING_BUGS: readonly Regression[] = [
  {
    failure: 'two led at once, because `deposed` was awaited before the signal aborted',
    patches: [
      {
        file: ELECTION,
        find: '    this.tenure.end(error)\n    this.#deposed(this)\n    this.#onOver()\n',
        replace: `    this.#deposed(this)
    void this.tenure.settled().then(() => {
      this.tenure.end(error)
      this.#onOver()
    })
`,
      },
    ],
    harness: tests('test/claims/election.test.ts', 'does not wait for `deposed`'),
    report: /does not wait for `deposed` before the signal aborts/,
  },
  {
    failure: 'a process led twice at once: its last work had not ended',
    patches: [
      {
        file: ELECTION,
        find: '    await Promise.race([tenure.settled(), this.#onClosing])\n',
        replace: '',
      },
    ],
    harness: tests('test/claims/election.test.ts', 'never elects a candidate whose last work'),
    report: /never elects a candidate whose last work still runs/,
  },
  {
    failure: 'a share moved twice for one answer that missed a member',
    patches: [{ file: GROUP, find: 'const MISSING = 2\n', replace: 'const MISSING = 1\n' }],
    harness: tests('test/claims/share.test.ts', 'moves nothing if one answer misses'),
    report: /moves nothing if one answer misses a member/,
  },
  {
    failure: 'members that were cut off were taken for gone by the first that came back',
    patches: [
      {
        file: GROUP,
        find: '      this.#patientUntil = Number.POSITIVE_INFINITY\n',
        replace: '',
      },
    ],
    harness: tests('test/claims/share.test.ts', 'keeps its part while the members cannot be asked'),
    report: /keeps its part while the members cannot be asked for/,
  },
  {
    failure: 'a claimed key was not acquired again after its loss',
    patches: [
      {
        file: PURSUIT,
        find: '    void this.#missOnceIdle(pursued)\n    this.#listener',
        replace: '    this.#listener',
      },
    ],
    harness: tests('test/claims/claim.test.ts', 'acquires a key again after its loss'),
    report: /acquires a key again after its loss/,
  },
  {
    failure: 'a key moved to another member while work under it went on',
    patches: [
      {
        file: PURSUIT,
        find: '      if (pursued.tenure?.idle) idle.push(pursued)\n      else busy.push(this.#drain(pursued))\n',
        replace: '      idle.push(pursued)\n      if (busy.length > 0) busy.push(this.#drain(pursued))\n',
      },
    ],
    harness: tests('test/claims/share.test.ts', 'drains the work under a key'),
    report: /drains the work under a key before that moves/,
  },
  {
    failure: 'a process worked twice at once under a key that had moved away and come back',
    patches: [
      {
        file: PURSUIT,
        find: '      if (isLingering && this.#closing) this.#forget(pursued)\n',
        replace: '      if (isLingering) this.#forget(pursued)\n',
      },
    ],
    harness: tests('test/claims/share.test.ts', 'does not hold a key again while'),
    report: /does not hold a key again while its last work under that key still runs/,
  },
  {
    failure: 'the release of a job cut its `atLeast` short',
    patches: [
      {
        file: 'src/manager/usages.ts',
        find: '    if (atLeast !== undefined) record.own.stay = { since: record.fence, duration: atLeast }\n',
        replace:
          '    if (atLeast !== undefined && atLeast < 0) record.own.stay = { since: record.fence, duration: atLeast }\n',
      },
    ],
    harness: tests('test/manager/at-least.test.ts', 'runs a job once'),
    report: /runs a job once, although another machine asks after its end/,
  },
  {
    failure: 'a key that was to stay was deleted, because of an earlier unanswered request',
    patches: [
      {
        file: 'src/release/releaser.ts',
        find: 'stay === undefined && doubt !== undefined',
        replace: 'stay !== doubt && doubt !== undefined',
      },
    ],
    harness: tests('test/manager/at-least.test.ts', 'keeps a key whose first request'),
    report: /keeps a key whose first request was not answered/,
  },
  {
    failure: 'thousands of claimed keys that others held were polled as often as one, while the server notified nobody',
    patches: [
      {
        file: 'src/claims/paced.ts',
        find: 'waiting() * BETWEEN *',
        replace: '0 * waiting() * BETWEEN *',
      },
    ],
    harness: tests('test/claims/claim-cost.test.ts', 'are asked for less often'),
    report: /are asked for less often/,
  },
]
