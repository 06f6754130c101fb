/**
 * `npm run picture`: runs the demo, in memory and as on a terminal, and draws what it leaves there into docs/demo.svg.
 * A demo of which an expectation failed is not drawn.
 */
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { drawTerminal, linesOnScreen } from './terminal-picture.ts'

const demo = fileURLToPath(new URL('../examples/demo/main.ts', import.meta.url))
const picture = fileURLToPath(new URL('../docs/demo.svg', import.meta.url))

/** Node has no pseudo-terminals: the demo is told that it has one, so it redraws its line of figures in place. */
const TERMINAL = 'data:text/javascript,Object.assign(process.stdout,{isTTY:true,columns:120})'

const { status, stdout } = spawnSync(process.execPath, [...process.execArgv, '--import', TERMINAL, demo], {
  encoding: 'utf8',
  env: { ...process.env, REDIS_URL: '' },
  stdio: ['ignore', 'pipe', 'inherit'],
})
if (status === 0) {
  const lines = ['$ npm run demo', ...linesOnScreen(stdout)]
  writeFileSync(picture, drawTerminal(lines, 'The output of npm run demo'))
  console.log(`${lines.length} lines are drawn in docs/demo.svg`)
} else {
  console.error(`The demo failed:\n${stdout}`)
  process.exitCode = 1
}
