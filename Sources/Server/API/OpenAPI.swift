// The OpenAPI description of the API (OpenAPI 3.1), from the table of routes and the schemas of the documents.
// `make schemas` writes it to docs/openapi.json.

import Images

/// Describes the API.
public enum OpenAPI {
  /// Returns the description as a JSON text.
  /// - Throws: `JSONSchemaConflict` if objects with different keys have one name.
  public static func text() throws -> String { try JSONText.tree(try document()) + "\n" }

  private static func document() throws -> JSONTree {
    var schemas: [String: JSONTree] = [:]
    func add<Document: JSONDocument>(_ type: Document.Type) throws {
      var body = try JSONSchema(of: type).json.object ?? [:]
      for (name, definition) in body["$defs"]?.object ?? [:] { schemas[name] = moved(definition) }
      for key in ["$defs", "$id", "$schema"] { body[key] = nil }
      schemas[Document.kind] = moved(.object(body))
    }
    try add(ErrorJSON.self)
    for route in APIRoute.all {
      if case .document(let type) = route.content { try add(type) }
    }
    return .object([
      "openapi": .string("3.1.1"),
      "info": .object([
        "title": .string("imgstore"), "version": .string(Workspace.version),
        "description": .string(
          "Read-only access to the images of a store. The documents are those of the commands with "
            + "--json."),
        "license": .object(["name": .string("MIT"), "identifier": .string("MIT")]),
      ]),
      "servers": .array([.object(["url": .string("/")])]),
      "security": .array([.object([:]), .object(["token": .array([])])]),
      "paths": .object(
        Dictionary(uniqueKeysWithValues: APIRoute.all.map { ("/api/v1" + $0.path, path($0)) })),
      "components": .object([
        "schemas": .object(schemas),
        "securitySchemes": .object([
          "token": .object(["type": .string("http"), "scheme": .string("bearer")])
        ]),
      ]),
    ])
  }

  /// Returns a schema whose references lead to the components.
  private static func moved(_ tree: JSONTree) -> JSONTree {
    switch tree {
    case .object(let members):
      .object(
        Dictionary(
          uniqueKeysWithValues: members.map { key, value in
            guard key == "$ref", case .string(let target) = value,
              let name = target.split(separator: "/").last
            else { return (key, moved(value)) }
            return (key, .string("#/components/schemas/\(name)"))
          }))
    case .array(let elements): .array(elements.map(moved))
    default: tree
    }
  }

  private static func path(_ route: APIRoute) -> JSONTree {
    let name = route.path.split(separator: "/").map { $0.filter { !"{}.".contains($0) } }
    let note = route.command.map { "The document of 'imgstore \($0) --json'." } ?? ""
    return .object([
      "get": .object([
        "operationId": .string(name.joined(separator: "-")),
        "summary": .string(route.summary), "description": .string(note),
        "parameters": .array(
          route.pathParameters.map(pathParameter) + route.query.map(queryParameter)),
        "responses": .object(responses(route)),
      ])
    ])
  }

  private static func pathParameter(_ name: String) -> JSONTree {
    parameter(
      name, "path", isRequired: true,
      name == "ref"
        ? "A number, a tag, an id, a date, 'latest' or '~N'" : "The whole name of an image",
      .object(["type": .string("string"), "minLength": .integer(1)]))
  }

  private static func queryParameter(_ query: APIRoute.Parameter) -> JSONTree {
    let text = JSONTree.object(["type": .string("string")])
    let flag = JSONTree.object(["type": .string("boolean")])
    let limit = JSONTree.object([
      "type": .string("integer"), "minimum": .integer(1),
      "maximum": .integer(APIParameters.maxLimit), "default": .integer(APIParameters.defaultLimit),
    ])
    let (meaning, schema): (String, JSONTree) =
      switch query.key {
      case .limit: ("The largest number of elements", limit)
      case .after: ("The cursor from the Link field of the page before", text)
      case .path:
        ("A path inside of the root tree, or an absolute path; its bytes, percent-encoded", text)
      case .old: ("The older snapshot: IMAGE or IMAGE@REF", text)
      case .new: ("The newer snapshot: IMAGE or IMAGE@REF", text)
      case .packages: ("Whether packages are compared, too", flag)
      case .snapshots: ("Whether each snapshot has a line", flag)
      }
    return parameter(
      query.key.rawValue, "query", isRequired: query.isRequired, meaning, schema)
  }

  private static func parameter(
    _ name: String, _ location: String, isRequired: Bool, _ meaning: String, _ schema: JSONTree
  ) -> JSONTree {
    .object([
      "name": .string(name), "in": .string(location), "required": .boolean(isRequired),
      "description": .string(meaning), "schema": schema,
    ])
  }

  private static func responses(_ route: APIRoute) -> [String: JSONTree] {
    let (type, schema): (String, JSONTree) =
      switch route.content {
      case .document(let document):
        (
          "application/json",
          .object(["$ref": .string("#/components/schemas/\(document.kind)")])
        )
      case .bytes: ("application/octet-stream", .object([:]))
      case .description: ("application/openapi+json", .object(["type": .string("object")]))
      }
    var success: [String: JSONTree] = [
      "description": .string(route.summary),
      "content": .object([type: .object(["schema": schema])]),
    ]
    if route.isPaged {
      success["headers"] = .object([
        "Link": .object([
          "description": .string("The URL of the rest of the list, with rel=next (RFC 8288)"),
          "schema": .object(["type": .string("string")]),
        ])
      ])
    }
    let reasons = [
      "400": "A parameter is missing or not valid", "401": "A token is needed",
      "404": "What the URL names does not exist",
      "409": "An earlier change has not finished, or the image has another kind",
      "410": "The snapshot was removed", "500": "Stored data is damaged, or a call failed",
      "503": "The server or the store is busy",
    ]
    func failure(_ status: String, _ reason: String) -> JSONTree {
      let error = JSONTree.object(["$ref": .string("#/components/schemas/error")])
      let content = JSONTree.object(["application/json": .object(["schema": error])])
      let isText = status == "401"
      return .object(
        ["description": .string(reason)].merging(isText ? [:] : ["content": content]) { $1 })
    }
    var responses = Dictionary(uniqueKeysWithValues: reasons.map { ($0, failure($0, $1)) })
    responses["200"] = .object(success)
    return responses
  }
}
