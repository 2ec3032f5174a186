export interface Bar {
  label: string;
  value: number;
  /** Smallest and largest of the runs behind the value; drawn as a whisker. */
  range?: readonly [number, number];
  /** Bars of one series share a colour. */
  series?: string;
}

const COLOURS = ['#2f6fb2', '#9dbfe0', '#c8792b'];
const ROW = 26;
const LABEL_WIDTH = 200;
const BAR_WIDTH = 440;
const WIDTH = LABEL_WIDTH + BAR_WIDTH + 110;

/** Labelled horizontal bars from 0, with their values written beside them, as the text of an SVG image. */
export function barsSvg(title: string, unit: string, bars: readonly Bar[]): string {
  const largest = Math.max(...bars.map((bar) => bar.range?.[1] ?? bar.value));
  const scale = (value: number): string => ((value / largest) * BAR_WIDTH).toFixed(1);
  const series = [...new Set(bars.map((bar) => bar.series ?? ''))];
  const top = series.length > 1 ? 56 : 40;
  const height = top + bars.length * ROW + 14;
  const lines = [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}"`,
    '  font-family="system-ui, sans-serif" font-size="13" fill="#1b1f24">',
    `<title>${escapeXml(title)}</title>`,
    `<rect width="${WIDTH}" height="${height}" fill="#ffffff"/>`,
    `<text x="12" y="24" font-size="15" font-weight="600">${escapeXml(title)}</text>`,
  ];
  if (series.length > 1) {
    for (const [i, name] of series.entries()) {
      const x = LABEL_WIDTH + i * 130;
      lines.push(`<rect x="${x}" y="36" width="11" height="11" fill="${COLOURS[i]}"/>`);
      lines.push(`<text x="${x + 17}" y="46">${escapeXml(name)}</text>`);
    }
  }
  for (const [i, bar] of bars.entries()) {
    const y = top + i * ROW;
    const colour = COLOURS[series.indexOf(bar.series ?? '')];
    const end = LABEL_WIDTH + Number(scale(bar.range?.[1] ?? bar.value));
    lines.push(
      `<text x="${LABEL_WIDTH - 10}" y="${y + 15}" text-anchor="end">${escapeXml(bar.label)}</text>`,
    );
    lines.push(
      `<rect x="${LABEL_WIDTH}" y="${y + 2}" width="${scale(bar.value)}" height="18" fill="${colour}"/>`,
    );
    if (bar.range) {
      const [low, high] = bar.range.map((value) => (LABEL_WIDTH + Number(scale(value))).toFixed(1));
      lines.push(
        `<path d="M${low} ${y + 11}H${high}M${low} ${y + 7}v8M${high} ${y + 7}v8" stroke="#1b1f24"/>`,
      );
    }
    lines.push(
      `<text x="${(end + 8).toFixed(1)}" y="${y + 15}">${escapeXml(`${shortNumber(bar.value)} ${unit}`)}</text>`,
    );
  }
  lines.push('</svg>');
  return `${lines.join('\n')}\n`;
}

/** Three digits are all that a measurement here is good for. */
export function shortNumber(value: number): string {
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

function escapeXml(text: string): string {
  return text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;');
}
