/**
 * Draws lines over two logarithmic axes as SVG. Promises a picture that reads on white and on black: no background,
 * and tones from the middle for all that is drawn, because whether a page is dark is not always known inside a
 * picture.
 */
import { init } from 'echarts'
import type { Line, LineChart, Panel } from './chart.ts'

const TEXT = '#7d8590'
const RULE = 'rgba(125, 133, 144, 0.28)'
/** Without quotes: echarts does not escape them. */
const FONT = 'system-ui, -apple-system, Helvetica, Arial, sans-serif'
const PANEL_WIDTH = 410
const HEIGHT = 380
/** Left of a panel, for its numbers, and right of it. */
const MARGIN = { left: 62, right: 24, top: 104, bottom: 56 }

export function drawLineChart(chart: LineChart): string {
  const { panels } = chart
  const width = panels.length * PANEL_WIDTH + (panels.length === 1 ? 120 : 0)
  const panelWidth = width / panels.length
  const canvas = init(null, null, { renderer: 'svg', ssr: true, width, height: HEIGHT })
  const text = (fontSize: number): object => ({ color: TEXT, fontFamily: FONT, fontSize })
  canvas.setOption({
    animation: false,
    backgroundColor: 'transparent',
    textStyle: text(12),
    title: [
      { text: chart.title, left: 12, top: 8, textStyle: { ...text(15), fontWeight: 600 } },
      ...panels.map(({ title }, index) => ({
        text: title,
        left: index * panelWidth + 12,
        top: 66,
        textStyle: { ...text(12), fontWeight: 400 },
      })),
    ],
    legend: {
      top: 36,
      left: 8,
      itemWidth: 22,
      itemGap: 28,
      icon: 'roundRect',
      itemHeight: 4,
      textStyle: text(12),
      data: namesOf(panels),
    },
    grid: panels.map((_, index) => ({
      left: index * panelWidth + MARGIN.left,
      width: panelWidth - MARGIN.left - MARGIN.right,
      top: MARGIN.top,
      bottom: MARGIN.bottom,
    })),
    xAxis: panels.map((_, index) => ({
      gridIndex: index,
      type: 'log',
      name: chart.axis,
      min: 'dataMin',
      max: 'dataMax',
      nameLocation: 'middle',
      nameGap: 30,
      ...axis(text(12)),
    })),
    yAxis: panels.map((_, index) => ({
      gridIndex: index,
      type: 'log',
      ...axis(text(12)),
    })),
    series: panels.flatMap(({ lines }, index) => lines.map((line) => series(line, index))),
  })
  const svg = canvas.renderToSVGString()
  canvas.dispose()
  return `${svg}\n`
}

function axis(text: object): object {
  return {
    nameTextStyle: text,
    axisLabel: { ...text, formatter: shortNumber },
    axisLine: { lineStyle: { color: TEXT } },
    axisTick: { lineStyle: { color: TEXT } },
    splitLine: { show: true, lineStyle: { color: RULE } },
    minorTick: { show: false },
  }
}

function series({ name, colour, isOurs, points }: Line, panel: number): object {
  return {
    name,
    type: 'line',
    // A picture has no pointer.
    silent: true,
    xAxisIndex: panel,
    yAxisIndex: panel,
    data: points,
    symbol: 'circle',
    symbolSize: isOurs ? 8 : 6,
    itemStyle: { color: colour },
    lineStyle: { color: colour, width: isOurs ? 3.5 : 2 },
    // What the picture is about lies on top.
    z: isOurs ? 3 : 2,
  }
}

function namesOf(panels: readonly Panel[]): string[] {
  return [...new Set(panels.flatMap(({ lines }) => lines.map(({ name }) => name)))]
}

/** `1k`, `1M`. */
function shortNumber(value: number): string {
  if (value >= 1e6) return `${value / 1e6}M`
  if (value >= 1e3) return `${value / 1e3}k`
  return String(Number(value.toPrecision(6)))
}
