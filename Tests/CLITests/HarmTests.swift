// The program under adverse conditions: killed at random times, on a full disk, without
// permissions, next to a second process.

import Foundation
import Platform
import TestSupport
import Testing

@Suite(.serialized) struct HarmTests {
  @Test func `commands killed at random times lose nothing`() throws {
    let expected = Sweep.isWhole ? 200 : 25
    let site = try TestNode(image: "img")
    var random = SplitMix64(20_261_123)
    try shell(
      "cd \"$1\"; for i in $(seq 400); do head -c $((i * 40)) /dev/urandom >f$i; done; head -c 6000000 /dev/urandom >large",
      site.tree)
    #expect(try site.imgstore("snapshot", "img").status == 0)
    var killed = 0
    var completed = 0
    for round in 0..<(2 * expected) where killed < expected {
      try shell(
        """
        cd "$1"; for i in 1 2 3 4 5 6 7 8; do head -c 300000 /dev/urandom >new$((($2 * 8 + i) % 40)); done
        head -c 100 /dev/urandom >>large
        """, site.tree, "\(round)")
      let process = Process()
      process.executableURL = URL(fileURLWithPath: binary)
      process.arguments = ["snapshot", "img", "-q"]
      process.environment = site.environment
      process.standardOutput = FileHandle.nullDevice
      process.standardError = FileHandle.nullDevice
      try process.run()
      usleep(UInt32.random(in: 0...60_000, using: &random))
      kill(process.processIdentifier, SIGKILL)
      process.waitUntilExit()
      if process.terminationReason == .uncaughtSignal { killed += 1 } else { completed += 1 }
      let verify = try site.imgstore("verify", "--deep")
      #expect(verify.status == 0, "round \(round): \(verify.errors)")
      if round % 20 == 19 {
        let next = try site.imgstore("snapshot", "img")
        #expect(next.status == 0, "round \(round): \(next.errors)")
        #expect(try site.imgstore("status", "img").output.contains("identical"))
      }
      if !verify.didSucceed { break }
    }
    #expect(killed >= expected, "\(killed) killed, \(completed) completed")
    #expect(try site.imgstore("snapshot", "img").status == 0)
    #expect(try site.imgstore("restore", "img", site.directory.path("out")).status == 0)
    #expect(try differences(site.tree, site.directory.path("out")) == "")
    // The next writer removes leftovers of killed ones.
    #expect(try run("ls", "-A", site.directory.path("store/tmp")).output == "")
  }

  @Test func `on a full disk only the command fails, and the store stays whole`() throws {
    guard isRoot else { return }
    let directory = try TemporaryDirectory()
    try shell("mkdir -p \"$1/disk\" \"$1/root/img/rootimg\"", directory.path)
    let disk = directory.path("disk")
    guard try run("mount", "-t", "tmpfs", "-o", "size=12m", "none", disk).didSucceed else { return }
    defer { _ = try? run("umount", disk) }
    let environment = ["IMGSTORE_STORE": disk + "/store", "IMGSTORE_ROOT": directory.path("root")]
    func imgstore(_ arguments: String...) throws -> ToolResult {
      try run(binary, arguments: arguments, environment: environment)
    }
    let tree = directory.path("root/img/rootimg")
    try shell("head -c 3000000 /dev/urandom >\"$1/a\"", tree)
    _ = try imgstore("define", "img", "provmethod=netboot", "rootimgdir=/img")
    #expect(try imgstore("snapshot", "img").status == 0)
    try shell("head -c 30000000 /dev/urandom >\"$1/b\"", tree)
    let full = try imgstore("snapshot", "img")
    #expect(full.status == 1)
    #expect(full.errors.contains("No space left on device") && full.errors.contains("Free space"))
    #expect(try imgstore("verify", "--deep").status == 0)
    #expect(try imgstore("log", "img").output.split(separator: "\n").count == 1)
    try shell("rm \"$1/b\"; echo small >\"$1/c\"", tree)
    #expect(try imgstore("snapshot", "img").status == 0)
    // A revert that runs out of room on the image's side leaves the store whole, and can be repeated.
  }

  @Test func `an unreadable file makes the snapshot incomplete and is reported`() throws {
    let site = try TestNode(image: "img")
    try shell(
      "cd \"$1\"; echo secret >closed; chmod 0 closed; mkdir dir; echo x >dir/x; chmod 0 dir",
      site.tree)
    // Root reads everything; another user does not.
    let nobody = isRoot ? ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] : ["env"]
    if isRoot {
      try shell(
        "chown -R 65534:65534 \"$1\"; chown 0 \"$1/root/img/rootimg/closed\" \"$1/root/img/rootimg/dir\"",
        site.directory.path)
    }
    let result = try run(
      nobody[0], arguments: Array(nobody.dropFirst()) + [binary, "snapshot", "img"],
      environment: site.environment)
    #expect(result.status == 3, "\(result.errors)")
    #expect(result.errors.contains("img@1 is incomplete: 2 problems"))
    #expect(result.errors.contains("/img/rootimg/closed: could not be read (Permission denied)"))
    #expect(result.output.hasPrefix("img@1"))
    let verify = try run(
      nobody[0], arguments: Array(nobody.dropFirst()) + [binary, "verify"],
      environment: site.environment)
    #expect(verify.status == 0 && verify.output.contains("img@1 was incomplete"))
  }

  @Test func `a revert does not replace files that it cannot snapshot first`() throws {
    guard isRoot else { return }
    let directory = try TemporaryDirectory()
    try shell(
      "mkdir -p \"$1/root/img/rootimg\"; echo one >\"$1/root/img/rootimg/f\"; chown -R 65534:65534 \"$1\"",
      directory.path)
    let file = directory.path("root/img/rootimg/f")
    func imgstore(_ arguments: String...) throws -> ToolResult {
      try run(
        "setpriv",
        arguments: ["--reuid=65534", "--regid=65534", "--clear-groups", binary] + arguments,
        environment: [
          "IMGSTORE_STORE": directory.path("store"), "IMGSTORE_ROOT": directory.path("root"),
        ])
    }
    _ = try imgstore("define", "img", "provmethod=netboot", "rootimgdir=/img")
    #expect(try imgstore("snapshot", "img").status == 0)
    try shell("echo precious >\"$1\"; chown 0:0 \"$1\"; chmod 600 \"$1\"", file)
    let back = try imgstore("revert", "img@1")
    #expect(back.status == 3, "\(back.output)")
    #expect(back.errors.contains("could not be read"))
    #expect(try String(contentsOfFile: file, encoding: .utf8) == "precious\n")
    #expect(try imgstore("status", "img").status == 3)
  }

  @Test func `a tree of 1,900 levels is restored`() throws {
    let site = try TestNode(image: "img")
    let copied = try run(
      "python3", "-c",
      """
      import os, sys
      here = os.open(sys.argv[1], os.O_RDONLY)
      for i in range(1900):
          os.mkdir('d', dir_fd=here); new = os.open('d', os.O_RDONLY, dir_fd=here); os.close(here); here = new
      os.close(os.open('bottom', os.O_CREAT | os.O_WRONLY, dir_fd=here))
      """, site.tree)
    try #require(copied.didSucceed, "\(copied.errors)")
    for arguments in [
      ["snapshot", "img"], ["status", "img"], ["verify", "--deep"],
      ["restore", "img", site.directory.path("out")], ["revert", "img@1"],
    ] {
      let result = try run(binary, arguments: arguments, environment: site.environment)
      #expect(result.status == 0, "\(arguments): \(result.status) \(result.errors)")
    }
  }

  @Test func `a snapshot needs few open files at a time`() throws {
    let site = try TestNode(image: "img")
    try shell(
      "cd \"$1\"; mkdir -p wide; cd wide; seq 3000 | xargs mkdir; for i in $(seq 30); do echo $i >$i/f; done",
      site.tree)
    let result = try run(
      "bash", "-c", "ulimit -Hn 200; ulimit -Sn 200; \"$0\" snapshot img", binary,
      environment: site.environment)
    #expect(result.status == 0, "\(result.errors)")
  }

  @Test func `an unprivileged user can work in a staging root`() throws {
    guard isRoot else { return }
    let directory = try TemporaryDirectory()
    try shell("mkdir -p \"$1/root/install\"; chown -R 65534:65534 \"$1\"", directory.path)
    func imgstore(_ arguments: String...) throws -> ToolResult {
      try run(
        "setpriv",
        arguments: ["--reuid=65534", "--regid=65534", "--clear-groups", binary] + arguments,
        environment: [
          "IMGSTORE_STORE": directory.path("store"), "IMGSTORE_ROOT": directory.path("root"),
        ])
    }
    let bundle = directory.path("bundle.tgz")
    try shell("cp \"$1\" \"$2\"; chmod 644 \"$2\"", fixture("xcat/stateless.tgz"), bundle)
    let imported = try imgstore("import", bundle)
    #expect(imported.status == 0, "\(imported.errors)")
    let name = "rhels8.5.0-x86_64-netboot-compute"
    #expect(try imgstore("status", name).output.contains("identical"))
    try shell(
      "echo x >\"$1/root/install/netboot/rhels8.5.0/x86_64/compute/kernel\"", directory.path)
    let back = try imgstore("revert", name + "@2")
    #expect(back.status == 0, "\(back.errors)")
    let exported = try imgstore("export", name, directory.path("out.tgz"))
    #expect(exported.status == 0, "\(exported.errors)")
    // Before the import there was nothing.
    let gone = try imgstore("revert", name + "@1")
    #expect(gone.status == 0, "\(gone.errors)")
    #expect(!FileManager.default.fileExists(atPath: directory.path("root/install/netboot")))
  }

  @Test func `a second process waits for the lock and reports it`() throws {
    let site = try TestNode(image: "img")
    _ = try site.imgstore("snapshot", "img")
    // Holds the image's lock for a second, as another imgstore would.
    let holder = try run(
      "bash", "-c",
      "flock \"$1/locks/image-img\" sleep 1 & sleep 0.2; \"$0\" snapshot img; wait", binary,
      site.directory.path("store"), environment: site.environment)
    #expect(holder.status == 0)
    #expect(holder.errors.contains("waiting: image img is in use by process"))
    #expect(try site.imgstore("log", "img").output.split(separator: "\n").count == 2)
  }

  @Test(arguments: [["--no-wait"], ["--wait", "1s"]])
  func `a process that must not wait names the lock holder`(_ words: [String]) throws {
    let site = try TestNode(image: "img")
    _ = try site.imgstore("snapshot", "img")
    let held = try run(
      "bash", "-c",
      """
      flock "$1/locks/image-img" sleep 30 & sleep 0.3
      start=$(date +%s%N); "$0" snapshot img --json "${@:2}"; status=$?
      echo "status $status $(( ($(date +%s%N) - start) / 1000000 ))"; kill %1
      """, binary, site.directory.path("store"), words[0], words.count > 1 ? words[1] : "--json",
      environment: site.environment)
    #expect(held.output.contains("\"code\" : \"image-locked\""), "\(held.output)")
    #expect(held.output.contains("\"category\" : \"busy\""), "\(held.output)")
    #expect(held.errors.contains("sleep 30"), "\(held.errors)")
    let words = held.output.split(separator: "\n").last?.split(separator: " ") ?? []
    #expect(words.count == 3 && words[1] == "4" && Int(words[2]).map { $0 < 10_000 } == true)
    #expect(try site.imgstore("log", "img").output.split(separator: "\n").count == 1)
  }
}
