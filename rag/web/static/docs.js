"use strict";
// validatorUrl: Swagger UI would otherwise show a badge that another host draws.
SwaggerUIBundle({ url: "/openapi.json", dom_id: "#api", deepLinking: true, validatorUrl: null });
