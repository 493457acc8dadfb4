// node check.mjs RENDERED.yaml NAME: every object of a rendered kustomization against the Kubernetes types.
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { parseAllDocuments } from "yaml";

const [, , file, name] = process.argv;
const objects = parseAllDocuments(readFileSync(file, "utf8")).map((d) => d.toJSON()).filter(Boolean);
let failed = 0;
let source = "";
for (const [i, o] of objects.entries()) {
  const where = `${name}: ${o.kind}/${o.metadata?.name}`;
  const module = `kubernetes-models/${o.apiVersion}/${o.kind}`;
  if (!existsSync(`node_modules/${module}.mjs`)) {
    console.error(`${where}: no such type ${o.apiVersion} ${o.kind}`);
    failed++;
    continue;
  }
  const model = (await import(`./node_modules/${module}.mjs`))[o.kind];
  try {
    new model(o).validate();
  } catch (e) {
    console.error(`${where}: ${e.message}`);
    failed++;
  }
  source += `import type { I${o.kind} as T${i} } from "${module}";\nexport const o${i}: T${i} = ${JSON.stringify(o, null, 1)};\n`;
}
writeFileSync("objects.ts", source);
try {
  execFileSync("node_modules/.bin/tsc", ["--noEmit", "--strict", "--skipLibCheck", "--module", "nodenext", "--moduleResolution", "nodenext", "--target", "es2022", "objects.ts"], { encoding: "utf8" });
} catch (e) {
  console.error(`${name}:\n${e.stdout}`);
  failed++;
}
console.log(`${name}: ${objects.length} objects, ${failed} faults`);
process.exit(failed ? 1 : 0);
