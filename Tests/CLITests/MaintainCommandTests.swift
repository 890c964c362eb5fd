// The commands config, maintain, metrics and doctor as programs: exit codes, quiet output, the editor, and two
// of them at once.

import Foundation
import Platform
import TestSupport
import Testing

@Suite(.usesTools) struct MaintainCommandTests {
  private let node: TestNode

  init() throws {
    node = try TestNode(image: "img")
    #expect(try node.imgstore("snapshot", "img").status == 0)
  }

  private var config: String { node.directory.path("config/config.toml") }

  private func configure(_ text: String) throws {
    try FileManager.default.createDirectory(
      atPath: node.directory.path("config"), withIntermediateDirectories: true)
    try text.write(toFile: config, atomically: false, encoding: .utf8)
  }

  private func imgstore(
    _ words: [String], _ environment: [String: String] = [:]
  ) throws -> ToolResult {
    try run(binary, arguments: words, environment: node.environment.merging(environment) { $1 })
  }

  /// Takes a lock of the store, as another process would.
  private func hold(_ name: String) throws -> FileLock {
    let files = KernelFileSystem.shared
    let locks = try files.openDirectory(
      at: files.workingDirectory, Array(node.directory.path("store/locks").utf8))
    return try #require(
      try FileLock.acquireIfFree(files, at: locks.raw, Array(name.utf8), exclusive: true))
  }

  @Test func `maintain prints one line, and nothing with -q when all is well`() throws {
    let loud = try node.imgstore("maintain")
    #expect(loud.status == 0 && loud.errors == "")
    #expect(loud.output.split(separator: "\n").count == 1)
    let quiet = try node.imgstore("maintain", "-q")
    #expect(quiet.status == 0 && quiet.errors == "" && quiet.output == "")
  }

  @Test func `a second maintain ends at once with code 8`() throws {
    let lock = try hold("maintain")
    let start = Date()
    let second = try node.imgstore("maintain", "--json")
    withExtendedLifetime(lock) {}
    #expect(second.status == 8 && second.output.contains("maintenance-running"))
    #expect(Date().timeIntervalSince(start) < 10)
  }

  @Test func `each result of maintain has its exit code`() throws {
    do {
      let lock = try hold("image-img")
      #expect(try node.imgstore("maintain").status == 4)
      withExtendedLifetime(lock) {}
    }
    try shell("mv \"$1\" \"$1.away\"", node.path("/img"))
    let away = try node.imgstore("maintain")
    #expect(away.status == 3 && away.errors.contains("img"))
    try shell("mv \"$1.away\" \"$1\"", node.path("/img"))
    #expect(try node.imgstore("maintain").status == 0)
    try shell(
      "cd \"$1/refs/img\"; f=$(ls | grep '^[0-9]' | head -1); chmod u+w $f; echo x >$f",
      node.directory.path("store"))
    #expect(try node.imgstore("maintain").status == 5)
    #expect(try node.imgstore("metrics").output.contains("imgstore_maintain_exit_code 5"))
  }

  @Test func `an error in the configuration stops a command before it does anything`() throws {
    try configure("[image.img]\nschedul = \"daily\"\n")
    let result = try node.imgstore("snapshot", "img")
    #expect(result.status == 2)
    #expect(result.errors.contains("config.toml:2") && result.errors.contains("schedule"))
    #expect(try node.imgstore("config", "check").status == 2)
    #expect(try node.imgstore("doctor").status == 1, "doctor works all the same")
  }

  @Test func `options and variables have precedence over the file, which moves the store`() throws {
    let other = node.directory.path("other")
    try configure("store = \"\(other)\"\n")
    var environment = node.environment
    environment["IMGSTORE_STORE"] = ""
    let variables = [
      "IMGSTORE_CONFIG_DIR": node.directory.path("config"), "IMGSTORE_ROOT": node.path(""),
    ]
    func origin(_ words: [String], _ more: [String: String]) throws -> String {
      let result = try run(
        "env", arguments: ["-u", "IMGSTORE_STORE", binary, "config", "show", "--origin"] + words,
        environment: variables.merging(more) { $1 })
      return result.output.split(separator: "\n").first.map(String.init) ?? result.errors
    }
    #expect(try origin([], [:]).contains("config.toml:1"))
    #expect(try origin([], [:]).contains(other))
    let named = try imgstore(["config", "show", "--origin"]).output
    #expect(named.contains("# IMGSTORE_STORE"))
    for words in [
      ["config", "show", "--origin", "--store", "/x"],
      ["--store", "/x", "config", "show", "--origin"],
    ] {
      #expect(try imgstore(words).output.contains("# --store"))
    }
  }

  @Test func `config edit replaces the file only with a text without errors`() throws {
    let editor = node.directory.path("editor")
    try shell(
      "printf '#!/bin/sh\\nprintf \"%%s\" \"$TEXT\" >\"$2\"\\n' >\"$1\"; chmod 755 \"$1\"", editor)
    func edit(_ text: String) throws -> ToolResult {
      try imgstore(["config", "edit"], ["VISUAL": "\(editor) -x", "TEXT": text])
    }
    #expect(try edit("[maintain]\nverify-time = \"1h\"\n").status == 0)
    let good = try String(contentsOfFile: config, encoding: .utf8)
    #expect(good.contains("1h"))
    let bad = try edit("[maintain]\nverify-tim = \"1h\"\n")
    #expect(bad.status == 2 && bad.errors.contains("verify-time"))
    #expect(try String(contentsOfFile: config, encoding: .utf8) == good)
    #expect(try edit(good).output.contains("unchanged"))
    let names = try FileManager.default.contentsOfDirectory(atPath: node.directory.path("config"))
    #expect(names.sorted() == ["config.lock", "config.toml"])
    #expect(try imgstore(["config", "edit"], ["VISUAL": "/nonexistent/editor"]).status == 1)
    #expect(try String(contentsOfFile: config, encoding: .utf8) == good)
  }

  @Test func `pack uses the configured form unless an option names another`() throws {
    try configure("[image.\"im*\".pack]\nmethod = \"tar\"\ncompress = \"xz\"\n")
    let plan = try node.imgstore("pack", "img", "-n")
    #expect(plan.status == 0 && plan.output.contains("as tar, xz"), "\(plan.output)\(plan.errors)")
    #expect(try node.imgstore("pack", "img", "-n", "-c", "gzip").output.contains("as tar, gzip"))
  }

  @Test func `doctor ends with 0 on a healthy node, and its document lists the findings`() throws {
    #expect(try node.imgstore("maintain").status == 0)
    let healthy = try node.imgstore("doctor", "--json")
    #expect(healthy.status == 0 && healthy.output.contains("\"healthy\" : true"))
    try shell("mv \"$1\" \"$1.away\"", node.path("/img"))
    let broken = try node.imgstore("doctor")
    #expect(broken.status == 1 && broken.output.contains("problem: "))
  }
}
