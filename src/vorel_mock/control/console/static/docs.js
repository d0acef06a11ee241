// Swagger UI with the key of a demo tenant filled in, so that the first "Execute" is answered 200.
"use strict";

const place = document.getElementById("swagger-ui");
const ui = SwaggerUIBundle({
  ...JSON.parse(place.dataset.config),
  presets: [SwaggerUIBundle.presets.apis, SwaggerUIStandalonePreset],
  onComplete: fillIn,
});

// Called for each document. That of the control plane takes another credential, which this page does not know.
async function fillIn() {
  if (!ui.specSelectors.url().endsWith("contract.json")) return;
  const answer = await fetch(place.dataset.target);
  const key = answer.ok ? (await answer.json()).keys.full[0] : undefined;
  const schemes = ui.specSelectors.specJson().toJS().components?.securitySchemes ?? {};
  for (const [name, scheme] of Object.entries(schemes)) {
    if (key && scheme.type === "http" && scheme.scheme === "bearer") ui.preauthorizeApiKey(name, key);
  }
}
