/**
 * Code on pages that is taken from files that run, so that it cannot be out of date. A comment before a code block names the file and
 * the part of it that stands between `#region NAME` and `#endregion NAME`:
 *
 *     <!-- examples/recipes/cron/job.ts#job -->
 */

/** A comment and the code block after it. */
const SNIPPET = /^<!-- (?<file>\S+)#(?<name>\S+) -->\n```(?<language>\w+)\n.*?^```$/gms

/**
 * The page with every such code block as it should be.
 *
 * @param read gives the text of a file.
 * @throws Error when there is no such part.
 */
export function withSnippets(page: string, read: (file: string) => string): string {
  return page.replaceAll(SNIPPET, (_block, file: string, name: string, language: string) => {
    const code = partOf(read(file), name)
    if (code === undefined) throw new Error(`${file} has no #region ${name}`)
    return `<!-- ${file}#${name} -->\n\`\`\`${language}\n${code}\n\`\`\``
  })
}

/** The lines of a region. Its markers are comments of any language. */
function partOf(text: string, name: string): string | undefined {
  const lines = text.split('\n')
  const start = lines.findIndex((line) => /^\W+#region (\S+)$/.exec(line)?.[1] === name)
  const end = lines.findIndex((line) => /^\W+#endregion (\S+)$/.exec(line)?.[1] === name)
  return start < 0 || end < start
    ? undefined
    : lines
        .slice(start + 1, end)
        .join('\n')
        .trim()
}
