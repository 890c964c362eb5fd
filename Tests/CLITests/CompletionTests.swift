// The program as the completion scripts call it: it prints candidates, writes nothing, takes no
// lock and prints no error. CompletionShellTests.swift tests the use of the candidates by the
// shells.

import Foundation
import TestSupport
import Testing

@Suite struct CompletionTests {
  private func complete(
    _ site: TestNode, _ word: String, _ words: String..., prefix: [String] = [],
    environment: [String: String] = [:]
  ) throws -> ToolResult {
    let command = prefix + [binary, "__complete", "zsh", word, "imgstore"] + words
    return try run(
      command[0], arguments: Array(command.dropFirst()),
      environment: site.environment.merging(environment) { $1 })
  }

  private func site() throws -> TestNode {
    let site = try TestNode(image: "img")
    #expect(try site.imgstore("snapshot", "img", "--tag", "golden", "-m", "first").status == 0)
    return site
  }

  /// - Parameter output: nil where only silence counts.
  private func expect(_ result: ToolResult, _ output: String?, _ note: String = "") {
    #expect(result.status == 0 && result.errors == "", "\(note): \(result)")
    if let output { #expect(result.output == output, "\(note)") }
  }

  @Test func `the program prints the candidates at the cursor`() throws {
    let site = try site()
    expect(try complete(site, "i", "log"), "words\n=img\t\n")
    expect(try complete(site, "img:etc/m", "ls"), "words\n=img:etc/motd\t\n")
    let tag = try complete(site, "img@g", "rm").output
    #expect(tag.hasPrefix("words\n=img@golden\timg@golden  @1 2"), "\(tag)")
    #expect(tag.hasSuffix(" first\n"), "\(tag)")
    expect(try complete(site, "", "--store"), "folders 0\n")
    expect(try complete(site, "--root=/x", "log"), "folders 7\n")
    let fish = try run(
      binary, arguments: ["__complete", "fish", "i", "imgstore", "log"],
      environment: site.environment)
    expect(fish, "words\nimg\t\n")
    func bash(_ word: String, _ type: String, _ line: String) throws -> ToolResult {
      try run(
        binary, arguments: ["__complete", "bash", word, type, line], environment: site.environment)
    }
    expect(try bash("/etc/m", "9", "imgstore ls img:/etc/m"), "words\n/etc/motd\n")
    expect(try bash("--root=/x", "9", "imgstore log --root=/x"), "folders 7\n")
    expect(try bash("/x", "9", "imgstore log --root=/x"), "folders 0\n")
    expect(try bash("o", "9", "imgstore log img >o"), "files 0\n")
    expect(try bash("", "63", "imgstore help key "), nil)
  }

  @Test func `completion uses the store that options or variables name`() throws {
    let (site, other) = (try site(), try TestNode(image: "img"))
    let store = other.directory.path("store")
    #expect(
      try other.imgstore("define", "elsewhere", "provmethod=netboot", "rootimgdir=/x").status == 0)
    for words in [
      ["--store", store], ["--store=\(store)"], ["-r", store], ["-q", "--repo", store],
    ] {
      let result = try run(
        binary, arguments: ["__complete", "zsh", "e", "imgstore"] + words + ["revert"],
        environment: site.environment)
      expect(result, "words\n@elsewhere\t\n", "\(words)")
    }
    expect(
      try complete(site, "e", "revert", environment: ["IMGSTORE_STORE": store]),
      "words\n@elsewhere\t\n")
    expect(try complete(site, "e", "revert", "--store", store), "words\n@elsewhere\t\n")
    expect(
      try complete(
        site, "e", "--store", "~/store", "revert", environment: ["HOME": other.directory.path]),
      "words\n@elsewhere\t\n")
  }

  @Test func `completion never fails and prints no errors`() throws {
    let site = try site()
    let store = site.directory.path("store")
    for words in [
      [], ["bash"], ["bash", ""], ["bash", "", "9"], ["tcsh", "x"], ["zsh"], ["zsh", ""],
      ["zsh", "-", "imgstore"], ["zsh", "\u{fffd}", "imgstore", "revert", "img:\\x"],
      ["zsh", "img@2026-11-08 12:", "imgstore", "revert"], ["zsh", "", "imgstore", "--store", ""],
      ["zsh", "", "imgstore", "--wait", "soon", "revert"], ["zsh", "--", "imgstore", "no-command"],
      ["bash", "x", "9", "y"], ["bash", "", "x", "imgstore ls 'img:"],
      ["zsh", "img:etc", "imgstore", "ls", "--root", "/nowhere"],
    ] {
      expect(
        try run(binary, arguments: ["__complete"] + words, environment: site.environment), nil,
        "\(words)")
    }
    expect(try complete(site, "i", "--store", "/nowhere/store", "log"), "words\n")
    expect(try complete(site, "i", "--store", "/proc", "log"), "words\n")
    for damage in [
      "rm index.sqlite index.stamp", "echo rubbish >index.sqlite",
      "echo rubbish >xcat/osimage.sqlite",
      "for f in packs/*; do echo rubbish >$f; done", "echo rubbish >refs/img/0000000001",
      "rm -r refs; mkfifo refs", "rm -r locks", "echo rubbish >format",
    ] {
      try shell("cd \"$1\"; \(damage)", store)
      for words in [["img:etc/", "ls"], ["img@", "rm"], ["", "log"], ["", "tag", "img"]] {
        let result = try run(
          binary, arguments: ["__complete", "zsh", words[0], "imgstore"] + words.dropFirst(),
          environment: site.environment)
        expect(result, nil, "\(damage): \(words)")
      }
    }
  }

  @Test func `a user without rights on the store gets no candidates and no error`() throws {
    let site = try site()
    guard geteuid() == 0 else { return }
    try shell("chmod 755 \"$1\"", site.directory.path)
    expect(
      try complete(
        site, "i", "log", prefix: ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]),
      "words\n")
  }

  /// No system call of a completion writes or locks.
  @Test func `completion writes no file and takes no lock`() throws {
    guard try run("strace", "-qq", "-e", "trace=none", "true").didSucceed else { return }
    let site = try site()
    let log = site.directory.path("calls")
    for words in [["img:etc/", "ls"], ["img@", "rm"], ["", "log"], ["", "tag", "img"], ["re"]] {
      let result = try run(
        "strace",
        arguments: [
          "-f", "-qq", "-o", log, "-e",
          "trace=open,openat,creat,mkdir,mkdirat,unlink,unlinkat,rename,renameat,renameat2,link,linkat,symlink,symlinkat,flock,fcntl,ftruncate,fsync,fdatasync,pwrite64,chmod,fchmod,fchmodat,fchown,utimensat",
          binary, "__complete", "zsh", words[0], "imgstore",
        ] + words.dropFirst(), environment: site.environment)
      expect(result, nil, "\(words)")
      let calls = try String(contentsOfFile: log, encoding: .utf8).split(separator: "\n")
      let writes = calls.filter { call in
        // The dynamic linker reads, and descriptors are duplicated.
        if call.contains("open") {
          return ["O_WRONLY", "O_RDWR", "O_CREAT"].contains { call.contains($0) }
        }
        return !call.contains("fcntl") || call.contains("F_SETLK") || call.contains("F_OFD")
      }
      #expect(writes.isEmpty && !calls.isEmpty, "\(words): \(writes)")
    }
  }

  @Test func `the completion command prints the script of each shell`() throws {
    for shell in ["bash", "zsh", "fish"] {
      let script = try run(binary, "completion", shell)
      #expect(script.status == 0 && script.output.contains("__complete \(shell)"))
      #expect(try run(binary, "--generate-completion-script", shell).output == script.output)
    }
    #expect(try run(binary, "completion", "tcsh").status == 2)
    #expect(try run(binary, "completion").status == 2)
  }
}
