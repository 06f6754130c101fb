/** What strangers could do through the live page. */
import { type Regression, tests } from './regression.ts'

const GUARD = 'src/page/guard.ts'
const TESTS = 'test/page/page.test.ts'

export const PAGE_BUGS: readonly Regression[] = [
  {
    failure: 'a page of another origin released a lock',
    patches: [
      {
        file: GUARD,
        find: "  return 'Another origin asks'\n",
        replace: '  return refuseSite(request)\n',
      },
    ],
    harness: tests(TESTS, 'releases nothing for another origin'),
    report: /releases nothing for another origin, without the token, or with another one/,
  },
  {
    failure: 'a lock was released without the token',
    patches: [{ file: GUARD, find: "return 'The token is missing'", replace: 'return undefined' }],
    harness: tests(TESTS, 'releases nothing for another origin'),
    report: /releases nothing for another origin, without the token, or with another one/,
  },
  {
    failure: 'a lock was released with another token',
    patches: [
      {
        file: GUARD,
        find: 'return isSame(String(token), settings.token) ? undefined',
        replace: 'return String(token).startsWith(settings.token) ? undefined',
      },
    ],
    harness: tests(TESTS, 'releases nothing for another origin'),
    report: /releases nothing for another origin, without the token, or with another one/,
  },
  {
    failure: 'a page that had a token released locks, although it was read-only',
    patches: [
      {
        file: GUARD,
        find: 'if (settings.readOnly || settings.token === undefined)',
        replace: 'if (settings.token === undefined)',
      },
    ],
    harness: tests(TESTS, 'releases nothing at all'),
    report: /releases nothing at all unless it is told that it may/,
  },
  {
    failure: 'a page under a foreign name that had our address could read the locks',
    patches: [
      {
        file: GUARD,
        find: 'if (name !== undefined && (isLocal(name) || hosts.has(name)))',
        replace: 'if (name !== undefined)',
      },
    ],
    harness: tests(TESTS, 'refuses hosts that it does not expect'),
    report: /refuses hosts that it does not expect, for whatever they ask/,
  },
  {
    failure: 'nothing kept the browser from making HTML of a key',
    patches: [{ file: 'src/page/answer.ts', find: '  "require-trusted-types-for \'script\'",\n', replace: '' }],
    harness: tests(TESTS, 'forbids a browser everything'),
    report: /forbids a browser everything that the page does not need/,
  },
]
