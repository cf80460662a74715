"""As much of JSON Schema as docs/quicperf.schema.json uses: type, enum, minimum, maximum, properties,
required, additionalProperties, items, oneOf, $ref within the file."""

import json

TYPES = {
    "object": lambda v: isinstance(v, dict),
    "array": lambda v: isinstance(v, list),
    "string": lambda v: isinstance(v, str),
    "boolean": lambda v: isinstance(v, bool),
    "null": lambda v: v is None,
    "number": lambda v: isinstance(v, (int, float)) and not isinstance(v, bool),
    "integer": lambda v: isinstance(v, int) and not isinstance(v, bool),
}
KNOWN = {"$schema", "$defs", "title", "description", "type", "enum", "minimum", "maximum",
         "properties", "required", "additionalProperties", "items", "oneOf", "$ref"}


class Schema:
    def __init__(self, path):
        with open(path, encoding="utf-8") as file:
            self.root = json.load(file)

    def wrong(self, value, name="run"):
        """A list of what is wrong with `value`, judged by the definition of that name."""
        return list(self._judge(value, self.root["$defs"][name], name))

    def is_document(self, value):
        """Whether `value` is what the schema as a whole is about."""
        return not list(self._judge(value, self.root, "document"))

    def _at(self, reference):
        rule = self.root
        for step in reference.split("/")[1:]:
            rule = rule[step]
        return rule

    def _judge(self, value, rule, path):
        unknown = set(rule) - KNOWN
        if unknown:
            yield "%s: the schema uses %s" % (path, unknown)
        if "$ref" in rule:
            yield from self._judge(value, self._at(rule["$ref"]), path)
        if "oneOf" in rule:
            fits = [r for r in rule["oneOf"] if not list(self._judge(value, r, path))]
            if len(fits) != 1:
                yield "%s: fits %d of the alternatives: %r" % (path, len(fits), value)
        types = rule.get("type", [])
        types = [types] if isinstance(types, str) else types
        if types and not any(TYPES[t](value) for t in types):
            yield "%s: %r is none of %s" % (path, value, types)
            return
        if "enum" in rule and value not in rule["enum"]:
            yield "%s: %r is none of %s" % (path, value, rule["enum"])
        if TYPES["number"](value):
            if value < rule.get("minimum", value) or value > rule.get("maximum", value):
                yield "%s: %r is out of range" % (path, value)
        if isinstance(value, dict):
            yield from self._members(value, rule, path)
        if isinstance(value, list) and "items" in rule:
            for i, item in enumerate(value):
                yield from self._judge(item, rule["items"], "%s[%d]" % (path, i))

    def _members(self, value, rule, path):
        properties = rule.get("properties", {})
        for key in rule.get("required", []):
            if key not in value:
                yield "%s: %s is missing" % (path, key)
        for key, member in value.items():
            if key in properties:
                yield from self._judge(member, properties[key], "%s.%s" % (path, key))
            elif rule.get("additionalProperties") is False:
                yield "%s: %s is not in the schema" % (path, key)
