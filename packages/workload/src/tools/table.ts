import type { Tool, ToolTable } from '../shell/tool.ts';

type Load = () => Promise<Tool>;

/** Every command of the built-in shell; each is loaded when first called, because most pods never call most of them. */
const TOOLS: Record<string, Load> = {
  cat: async () => (await import('./text.ts')).cat,
  echo: async () => (await import('./text.ts')).echo,
};

export const findTool: ToolTable = async (name) => (Object.hasOwn(TOOLS, name) ? TOOLS[name]!() : undefined);

export function hasTool(name: string): boolean {
  return Object.hasOwn(TOOLS, name);
}
