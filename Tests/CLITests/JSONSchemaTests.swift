// JSON output: every command has it, every document matches its schema in docs/schema, and the
// schemas equal the types of the program.

import Foundation
import ObjectStorageTestSupport
import TestSupport
import Testing

/// A management node with an image of every kind of entry, and a directory for the output of commands.
private final class DocumentNode: Sendable {
  let directory: TemporaryDirectory
  /// A service for a depot.
  let bucket: TestBucket
  var tree: String { directory.path("root/install/img/rootimg") }
  var environment: [String: String] {
    [
      "IMGSTORE_STORE": directory.path("store"), "IMGSTORE_ROOT": directory.path("root"),
      "TZ": "UTC",
      "IMGSTORE_CONFIG_DIR": directory.path("config"),
      "VISUAL": "true",
      "AWS_ENDPOINT_URL": "http://127.0.0.1:\(bucket.port)", "AWS_ACCESS_KEY_ID": "id",
      "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1", "NO_PROXY": "*",
    ]
  }

  init() throws {
    directory = try TemporaryDirectory()
    bucket = try TestBucket()
    try runFixture("scripts/trees/make-node-with-all-kinds.sh", directory.path)
  }

  /// Runs a command with --json, and keeps its document.
  func document(_ line: String, number: Int) throws -> ToolResult {
    let words = line.split(separator: " ").map {
      $0.replacingOccurrences(of: "OUT", with: directory.path("out"))
    }
    // What follows "--" belongs to another program.
    let end = words.firstIndex(of: "--") ?? words.endIndex
    let result = try run(
      binary, arguments: words[..<end] + ["--json"] + words[end...], environment: environment)
    let name = "\(number) \(line.replacingOccurrences(of: "/", with: "_").prefix(60))"
    try result.output.write(
      toFile: directory.path("documents/\(name)"), atomically: false, encoding: .utf8)
    return result
  }
}

@Suite struct JSONSchemaTests {
  private static let schemas = packageRoot + "/docs/schema"

  /// Command lines, in order, or "! " and a script in the root tree. OUT is a directory.
  private static let lines = [
    "define img provmethod=netboot rootimgdir=/install/img profile=p osvers=rhels9 osarch=x86_64 pkglist=/install/img/pkglist",
    "images", "key generate", "key show", "key list", "key generate --output OUT.key",
    "key trust OUT.key.pub --name other",
    "snapshot img -n", "pack img -n", "snapshot img -m first --tag golden --sign",
    "pin img@1 -m why", "tag img@1 t", "tags", "pins",
    "tag img@1 t --force", "images", "pack img", "snapshot img --recipes",
    "! echo changed >etc/motd; rm etc/link; mkdir new; printf 'Package: b\\nStatus: install ok installed\\nArchitecture: all\\nVersion: 1\\n' >var/lib/dpkg/status",
    "snapshot img -n", "restore img@1 OUT/planned -n",
    "status img", "diff img@1", "diff img@1 --packages", "snapshot img --if-changed",
    "diff img@1 img -u etc/motd", "log img", "log img etc/motd", "show img@1", "show img",
    "show img@1:etc/motd", "show img@1:etc/null", "show img@1:etc/link", "ls img@1:etc",
    "ls img -R", "find img --name none", "grep hello img@1", "cat img:etc/motd img:etc/bytes",
    "blame img etc/motd", "extract img:etc OUT/etc", "restore img@1 OUT/tree", "secrets img",
    "revert img@golden -n", "revert img@golden", "undo img", "revert img@1:etc/motd",
    "copy img other --profile other -n", "copy img other --profile other",
    "bench img --no-peers --form cpio.gz", "export img OUT/b.tgz -n", "export img OUT/b.tgz",
    "export img OUT/s.tgz --scrub --sign", "import OUT/s.tgz --force -n",
    "import OUT/s.tgz --force", "export img OUT/o.tar --oci -n",
    "export img OUT/o.tar --oci", "pack img --output OUT/p.cpio.gz",
    "stage img@1 --server http://boot:7070 --apply", "stage img@1 --undo",
    "define img provmethod=statelite", "lite img -n", "lite img", "sign img@1", "unpin img@1",
    "untag img@t", "recipes img", "forget img --keep-last 2 -n", "remove img@2 --force -n",
    "remove img@2 --force", "forget img --keep-last 2", "gc", "optimize", "du", "du -s img",
    "standby",
    "stats", "verify", "verify --deep --signatures", "reindex", "repair --dry-run",
    "init", "! mkdir -p ../../dir/etc; echo x >../../dir/etc/x",
    "add d /install/dir --exclude *.log",
    "snapshot d", "snapshot img d -n", "status d", "status --all", "log --all",
    "remove d --definition -n",
    "remove d --definition", "gc -n", "define --csv osimage OUT.csv",
    "define -z OUT.stanza", "images", "config edit", "config path", "config check", "config show",
    "config show img", "maintain -n", "maintain", "doctor", "nodes img",
    "which 00000000-0000-0000-0000-000000000000",
    "run img --host -- true", "hooks enable genimage", "hooks list", "hooks disable genimage",
    "define broken provmethod=netboot rootimgdir=/none", "snapshot img broken",
    "remote add mn OUT.mn", "remote list", "push mn img", "push mn img -n", "remote show mn",
    "remote check mn", "pull mn img", "clone OUT.mn --store OUT.clone",
    "export img OUT/thin.tar --since img -n", "export img OUT/thin.tar --since img",
    "import OUT/thin.tar", "show img@1 --store OUT.clone", "log img --store OUT.clone",
    "remote remove mn",
    // A depot in a bucket of the tests.
    "remote add depot s3://bucket/depot", "remote check depot", "push depot img",
    "tag img golden --remote depot", "untag img@golden --remote depot", "du --remote depot",
    "verify --remote depot --deep", "forget img --keep-last 1 --remote depot",
    "gc --remote depot -n", "gc --remote depot",
    // Failures are documents, too.
    "show nobody", "frobnicate", "show", "revert img@1 --bogus", "gc --max-time never",
  ]

  /// The commands that print something, as the program lists them.
  private func commands() throws -> [[String]: Set<String>] {
    struct Help: Decodable {
      struct Command: Decodable {
        struct Argument: Decodable {
          struct Name: Decodable { let name: String }
          let names: [Name]?
        }
        let commandName: String
        let shouldDisplay: Bool
        let arguments: [Argument]?
        let subcommands: [Command]?
      }
      let command: Command
    }
    let text = try run(binary, "--experimental-dump-help").output
    let help = try JSONDecoder().decode(Help.self, from: Data(text.utf8))
    var found: [[String]: Set<String>] = [:]
    func walk(_ command: Help.Command, _ path: [String]) {
      guard command.shouldDisplay, command.commandName != "help" else { return }
      let inner = (command.subcommands ?? []).filter { $0.commandName != "help" }
      if inner.isEmpty {
        found[path] = Set((command.arguments ?? []).flatMap { ($0.names ?? []).map(\.name) })
      }
      for next in inner { walk(next, path + [next.commandName]) }
    }
    walk(help.command, [])
    return found
  }

  @Test func `every command accepts --json`() throws {
    let commands = try commands()
    #expect(commands.count > 40)
    // The script for a shell, the metrics for Prometheus and a protocol are not documents. A schema is JSON without
    // --json.
    let others = [["completion"], ["have"], ["json-schema"], ["metrics"], ["serve"]]
    for (path, options) in commands where !others.contains(path) {
      #expect(options.contains("json"), "\(path)")
    }
  }

  @Test func `docs/schema equals the output of 'make schemas'`() throws {
    let directory = try TemporaryDirectory()
    let written = try run(packageRoot + "/scripts/schemas.sh", binary, directory.path("schema"))
    #expect(written.status == 0, "\(written.errors)")
    let difference = try run("diff", "-r", Self.schemas, directory.path("schema"))
    #expect(difference.status == 0, "run 'make schemas'\n\(difference.output)")
    let description = try run(
      "diff", packageRoot + "/docs/openapi.json", directory.path("openapi.json"))
    #expect(description.status == 0, "run 'make schemas'\n\(description.output)")
  }

  @Test func `the documents of every command fit their schemas`() throws {
    let site = try DocumentNode()
    var number = 100
    func printed(_ line: String) throws {
      number += 1
      let result = try site.document(line, number: number)
      #expect(!result.output.isEmpty, "\(line): \(result.errors)")
    }
    try shell("mkdir \"$1\"", site.directory.path("out"))
    for line in Self.lines {
      if line.hasPrefix("! ") {
        try shell("cd \"$1\"; \(line.dropFirst(2))", site.tree)
        continue
      }
      if line.hasPrefix("define -") { try writeDefinitions(site) }
      try printed(line)
    }
    try leaveUnfinished(site)
    for line in [
      "images", "status img", "snapshot img", "resume img --back -n", "resume img --back",
    ] { try printed(line) }

    let check = try run(
      "python3", packageRoot + "/Tests/Schemas/validate.py", Self.schemas,
      site.directory.path("documents"))
    #expect(check.status == 0, "\(check.errors)")
    let kinds = try FileManager.default.contentsOfDirectory(atPath: Self.schemas)
      .map { String($0.dropLast(5)) }
    let seen = check.output.split(separator: "\n").map(String.init)
    // ServerTests checks those that only the API has.
    let ofServer = ["store-state", "unfinished-changes", "version"]
    #expect((seen + ofServer).sorted() == kinds.sorted(), "kinds that no command printed")
    for path in try commands().keys {
      #expect(
        Self.lines.contains { ($0 + " ").hasPrefix(path.joined(separator: " ") + " ") }
          || [["resume"], ["completion"], ["have"], ["json-schema"], ["metrics"], ["serve"]]
            .contains(path),
        "no document of \(path)")
    }
  }

  @Test func `documents contain pins, tags and the latest snapshot`() throws {
    struct Images: Decodable {
      struct Image: Decodable {
        let snapshots: Int
        let latest: String
        let latestNumber: Int
        let latestCreated: String
      }
      let schema: Int
      let images: [Image]
    }
    struct Snapshot: Decodable {
      struct Pin: Decodable { let reason: String }
      let number: Int
      let id: String
      let created: String
      let tags: [String]
      let pin: Pin?
    }
    struct Log: Decodable { let snapshots: [Snapshot] }
    struct Files: Decodable {
      struct File: Decodable {
        let text: String?
        let base64: String?
      }
      let files: [File]
    }
    let site = try TestNode(image: "img")
    func document<Document: Decodable>(_ type: Document.Type, _ words: String...) throws -> Document
    {
      let result = try run(binary, arguments: words + ["--json"], environment: site.environment)
      return try JSONDecoder().decode(type, from: Data(result.output.utf8))
    }
    _ = try site.imgstore("snapshot", "img", "--tag", "golden")
    try shell("printf '\\377' >\"$1/bytes\"", site.tree)
    _ = try site.imgstore("snapshot", "img")
    _ = try site.imgstore("pin", "img@1", "-m", "for the audit")
    let log = try document(Log.self, "log", "img").snapshots
    #expect(log.map { $0.pin?.reason } == [nil, "for the audit"])
    let shown = try document(Snapshot.self, "show", "img@1")
    #expect(shown.pin?.reason == "for the audit" && shown.tags == ["golden"])
    #expect(try site.imgstore("show", "img@1").output.contains("for the audit"))
    let images = try document(Images.self, "images")
    let image = try #require(images.images.first)
    #expect(images.schema == 1 && image.snapshots == 2 && image.latestNumber == 2)
    #expect(image.latest == log[0].id && image.latestCreated == log[0].created)
    let files = try document(Files.self, "cat", "img:etc/motd", "img:bytes").files
    #expect(files.map(\.text) == ["hello\n", nil] && files.map(\.base64) == [nil, "/w=="])
    try shell("truncate -s 17M \"$1/large\"", site.tree)
    _ = try site.imgstore("snapshot", "img")
    #expect(try site.imgstore("cat", "img:large", "--json").status == 1)
  }

  /// Definitions as text, for `define`.
  private func writeDefinitions(_ site: DocumentNode) throws {
    for (options, name) in [
      (["images", "-z"], "out.stanza"), (["images", "--csv", "osimage"], "out.csv"),
    ] {
      let text = try run(binary, arguments: options, environment: site.environment).output
      try text.write(toFile: site.directory.path(name), atomically: false, encoding: .utf8)
    }
  }

  /// Has a revert killed midway.
  private func leaveUnfinished(_ site: DocumentNode) throws {
    let number = try #require(
      try run(binary, arguments: ["log", "img"], environment: site.environment).output
        .split(separator: "\n").last?.split(separator: " ").first)
    for operation in 5..<200
    where !FileManager.default.fileExists(atPath: site.directory.path("store/journal/img")) {
      _ = try run(
        killatBinary,
        arguments: [
          "\(operation)", site.directory.path("count"), binary, "revert", "img\(number)",
          "--in-place",
        ], environment: site.environment)
    }
  }

  @Test func `docs/json.md lists every kind of document and every key`() throws {
    let text = try String(contentsOfFile: packageRoot + "/docs/json.md", encoding: .utf8)
    let words = Set(text.split { !$0.isLetter && !$0.isNumber && $0 != "-" }.map(String.init))
    for name in try FileManager.default.contentsOfDirectory(atPath: Self.schemas) {
      #expect(words.contains(String(name.dropLast(5))), "no document \(name)")
      let data = try Data(contentsOf: URL(fileURLWithPath: Self.schemas + "/" + name))
      let schema = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
      let definitions = (schema["$defs"] as? [String: [String: Any]] ?? [:]).values
      for object in [schema] + Array(definitions) {
        for key in (object["properties"] as? [String: Any] ?? [:]).keys {
          #expect(words.contains(key), "\(name): no key '\(key)'")
        }
      }
    }
  }
}
