// Exit codes and error codes in JSON documents, by class of failure. Scripts depend on them
// (docs/manual.md).

import Foundation
import TestSupport
import Testing

@Suite struct ExitCodeTests {
  private struct Failure: Decodable {
    struct Details: Decodable { let category: String }
    let error: Details
  }

  /// Runs a command with --json.
  /// - Returns: its exit code, and the code of its error document; nil where it printed none.
  private func typed(_ site: TestNode, _ words: [String]) throws -> (status: Int32, code: String?) {
    let result = try run(
      "timeout", arguments: ["60", binary] + words + ["--json"], environment: site.environment)
    let failure = try? JSONDecoder().decode(Failure.self, from: Data(result.output.utf8))
    return (result.status, failure?.error.category)
  }

  private func filled() throws -> TestNode {
    let site = try TestNode(image: "img")
    try shell("head -c 3000000 /dev/urandom >\"$1/large\"", site.tree)
    for text in ["one", "two"] {
      try shell("echo \"$2\" >\"$1/etc/motd\"", site.tree, text)
      #expect(try site.imgstore("snapshot", "img").status == 0)
    }
    return site
  }

  // MARK: busy, 4

  /// A lock that another process holds, and the commands that it blocks.
  static let locks: [(lock: String, commands: [String])] = [
    (
      "store/locks/image-img",
      [
        "snapshot img", "revert img@1", "undo img", "tag img@1 t", "pin img@1", "remove img@1",
        "forget img --keep-last 1",
      ]
    ),
    ("store/locks/gc", ["gc", "optimize", "repair"]),
  ]

  @Test(arguments: locks)
  func `a command that must not wait for a lock exits with 4`(
    _ lock: String, _ commands: [String]
  ) throws {
    let site = try filled()
    for command in commands {
      let result = try run(
        "bash",
        arguments: [
          "-c", "flock \"$1\" \"$0\" \"${@:2}\" --no-wait --json", binary,
          site.directory.path(lock),
        ] + command.split(separator: " ").map(String.init), environment: site.environment)
      #expect(result.status == 4, "\(command): \(result.errors)")
      let failure = try? JSONDecoder().decode(Failure.self, from: Data(result.output.utf8))
      #expect(failure?.error.category == "busy", "\(command): \(result.output)")
    }
    #expect(try site.imgstore("log", "img").output.split(separator: "\n").count == 2)
  }

  // MARK: damaged, 5

  private static let rot =
    "p=$(ls -S packs | head -1); chmod u+w packs/$p; printf damage | dd of=packs/$p bs=1 seek=1500000 conv=notrunc status=none"

  /// A damage, done in the store's directory; commands that meet it; whether their work is done nevertheless,
  /// so that their document is not an error.
  static let damages: [(damage: String, commands: [String], isDone: Bool)] = [
    (rot, ["cat img:large", "pack img@2 --output OUT"], false),
    (rot, ["verify --deep", "restore img OUT", "extract img OUT", "repair --no-live"], true),
    ("rm packs/*", ["cat img:large", "ls img:etc", "blame img etc/motd"], false),
    ("rm packs/*", ["verify", "verify --deep", "repair --no-live"], true),
    ("printf x >refs/img/0000000001", ["show img@1", "gc"], false),
    ("printf x >refs/img/0000000001", ["verify", "forget img --keep-last 5", "log img"], true),
    ("printf x >refs/img/0000000002", ["log img", "images"], true),
    ("rm refs/img/0000000001", ["gc", "optimize"], false),
    ("rm refs/img/0000000001", ["verify", "log img"], true),
    ("printf x >journal/img", ["snapshot img", "revert img@1", "resume img"], false),
    ("printf x >journal/img", ["verify"], true),
    ("echo foreign >format", ["images", "log img", "verify", "snapshot img"], false),
    ("rm format", ["images", "log img", "verify", "stats"], false),
    ("rm -r packs; touch packs", ["log img", "verify", "gc"], false),
  ]

  @Test(arguments: damages)
  func `a command that finds damage exits with 5`(
    _ damage: String, _ commands: [String], _ isDone: Bool
  )
    throws
  {
    for command in commands {
      let site = try filled()
      try shell("cd \"$1\"; \(damage)", site.directory.path("store"))
      let words = command.split(separator: " ")
        .map { $0 == "OUT" ? site.directory.path("out") : String($0) }
      let (status, code) = try typed(site, words)
      #expect(status == 5, "\(damage): \(command)")
      #expect(code == (isDone ? nil : "damaged"), "\(damage): \(command)")
    }
  }

  // MARK: unfinished, 6

  @Test func `a command that an unfinished change blocks exits with 6`() throws {
    let site = try filled()
    for operation in 5..<200
    where !FileManager.default.fileExists(atPath: site.directory.path("store/journal/img")) {
      _ = try run(
        killatBinary,
        arguments: [
          "\(operation)", site.directory.path("count"), binary, "revert", "img@1", "--in-place",
        ], environment: site.environment)
    }
    for command in [
      "snapshot img", "revert img@2", "undo img", "copy img other --profile other",
      "remove img@1 --force",
    ] {
      let (status, code) = try typed(site, command.split(separator: " ").map(String.init))
      #expect(status == 6, "\(command)")
      #expect(code == "unfinished", "\(command)")
    }
    // It compares, and reports the differences.
    #expect(try typed(site, ["status", "img"]) == (3, nil))
    #expect(try typed(site, ["resume", "img"]) == (0, nil))
    #expect(try typed(site, ["resume", "img"]) == (1, "not-found"))
  }

  // MARK: not found, 1, and usage, 2

  static let failures: [(words: String, status: Int32, code: String)] = [
    ("show nobody", 1, "not-found"), ("show img@9", 1, "not-found"),
    ("show img:etc/none", 1, "not-found"), ("ls img:none", 1, "not-found"),
    ("cat img:none", 1, "not-found"), ("log img etc/none", 1, "not-found"),
    ("blame img etc/none", 1, "not-found"), ("diff img@1 img@2 -u etc/none", 1, "not-found"),
    ("untag img@none", 1, "not-found"), ("unpin img@1", 1, "not-found"),
    ("define nobody", 1, "not-found"), ("images --root /nowhere", 1, "not-found"),
    ("images --xcat-dir /nowhere", 1, "not-found"),
    ("log img --store /nowhere/store", 1, "not-found"), ("import /nowhere.tgz", 1, "not-found"),
    ("sign img --key /nowhere", 1, "not-found"), ("repair --from /nowhere", 1, "not-found"),
    ("define img noequals", 2, "usage"), ("snapshot img@1", 2, "usage"),
    ("show img:a\\q", 2, "usage"), ("grep ( img -E", 2, "usage"), ("untag img@1", 2, "usage"),
    ("revert img@1 --allow relative", 2, "usage"), ("snapshot img --tag 1bad", 2, "usage"),
  ]

  @Test func `missing objects and conflicts have different exit codes`() throws {
    let site = try filled()
    for (words, status, code) in Self.failures {
      let found = try typed(site, words.split(separator: " ").map(String.init))
      #expect(found.status == status, "\(words)")
      #expect(found.code == code, "\(words)")
    }
  }
}
