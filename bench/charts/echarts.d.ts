/** The types of what is used of echarts: to be checked, bench/ must not take the packages of its own. */
declare module 'echarts' {
  interface Chart {
    setOption(option: object): void
    renderToSVGString(): string
    dispose(): void
  }

  export function init(
    element: null,
    theme: null,
    options: { readonly renderer: 'svg'; readonly ssr: true; readonly width: number; readonly height: number },
  ): Chart
}
