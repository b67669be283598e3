// The bundle is a classic script and leaves its function on the window.
const { SwaggerUIBundle } = /** @type {any} */ (window);
SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#documents",
  deepLinking: true,
  // Otherwise the document is sent to a validator on another host.
  validatorUrl: null,
});
