// What `run` starts, as a value: program, environment and mounts. Nothing is started, and no rights are needed.

import Foundation
import Images
import Platform
import TestSupport
import Testing

@Suite struct RunPlanTests {
  private static let directories = ["proc", "sys", "dev", "run", "tmp", "mnt", "etc"]

  /// Creates a node whose tree has these directories, and the usual ones.
  private func node(
    _ directories: [String] = directories, resolver: String? = "# of the tree\n"
  ) throws -> TestNode {
    let node = try TestNode(image: "img")
    for name in directories {
      try FileManager.default.createDirectory(
        atPath: "\(node.tree)/\(name)", withIntermediateDirectories: true)
    }
    if let resolver { try node.write(resolver, to: "img/rootimg/etc/resolv.conf") }
    return node
  }

  private func link(_ name: String, to target: String, _ node: TestNode) throws {
    try? FileManager.default.removeItem(atPath: "\(node.tree)/\(name)")
    try FileManager.default.createSymbolicLink(
      atPath: "\(node.tree)/\(name)", withDestinationPath: target)
  }

  @discardableResult private func plan(
    _ node: TestNode, _ change: (inout RunRequest) -> Void = { _ in }
  ) throws -> RunPlan {
    var request = RunRequest("img", [Array("tool".utf8), Array("a b".utf8)])
    change(&request)
    return try node.workspace.planRun(request)
  }

  private func paths(_ plan: RunPlan) -> [String] { plan.steps.map(\.path.text) }

  @Test func `entries are created only below mounts of the plan`() throws {
    let plan = try plan(try node()) { $0.binds = ["/etc:/run/a/b", "/etc/passwd:/tmp/c"] }
    var temporary: [String] = []
    for step in plan.steps {
      switch step {
      case .mount("tmpfs", let path, _, _): temporary.append(path.text)
      case .directory, .device, .link, .file:
        #expect(temporary.contains { step.path.text.hasPrefix($0 + "/") }, "\(step)")
      default: break
      }
    }
    #expect(temporary == ["dev", "dev/shm", "run", "tmp"])
    #expect(paths(plan).contains("run/a/b") && paths(plan).contains("tmp/c"))
    #expect(plan.remarks.isEmpty)
  }

  @Test func `sys is read-only, and proc and sys allow no programs or devices`() throws {
    let steps = try plan(try node()).steps
    func flags(_ name: String) -> MountFlags? {
      for case .mount(name, _, let flags, _) in steps { return flags }
      return nil
    }
    #expect(flags("sysfs") == [.noSetuid, .noDevices, .noExecution, .readOnly])
    #expect(flags("proc") == [.noSetuid, .noDevices, .noExecution])
    #expect(
      steps.contains(.readOnly("proc/sys")) && steps.contains(.readOnly("proc/sysrq-trigger")))
  }

  @Test(arguments: ["proc", "sys", "dev", "run", "tmp"])
  func `a missing mount point is left out, and a link or file is refused`(_ name: String) throws {
    let node = try node(Self.directories.filter { $0 != name })
    let plan = try plan(node)
    #expect(plan.remarks.count == 1)
    #expect(!paths(plan).contains { $0 == name || $0.hasPrefix(name + "/") })
    try link(name, to: "../../etc", node)
    #expect(errorCode { try self.plan(node) } == .unsupported)
    try? FileManager.default.removeItem(atPath: "\(node.tree)/\(name)")
    try node.write("", to: "img/rootimg/\(name)")
    #expect(errorCode { try self.plan(node) } == .unsupported)
  }

  @Test func `the resolver's configuration covers the tree's file, or lies in run`() throws {
    guard FileManager.default.fileExists(atPath: "/etc/resolv.conf") else { return }
    let node = try node()
    #expect(
      try plan(node).steps.contains(.cover("run/imgstore-resolv.conf", at: "etc/resolv.conf")))
    #expect(
      try !paths(plan(node) { $0.hasNetwork = false }).contains { $0.contains("resolv.conf") })
    for target in ["../run/systemd/resolve/stub-resolv.conf", "/run/NetworkManager/resolv.conf"] {
      try link("etc/resolv.conf", to: target, node)
      let path = String(target.drop { $0 != "r" })
      #expect(try paths(plan(node)).contains(path), "\(target)")
      #expect(try plan(node).remarks.isEmpty)
    }
    try link("etc/resolv.conf", to: "resolv.real", node)
    #expect(try plan(node).remarks.count == 1, "a dangling link")
    try node.write("real\n", to: "img/rootimg/etc/resolv.real")
    #expect(
      try plan(node).steps.contains(.cover("run/imgstore-resolv.conf", at: "etc/resolv.real")))
    // A link that leads out of the tree is followed inside it.
    try link("etc/resolv.conf", to: "../../../../../../../etc/resolv.real", node)
    #expect(
      try plan(node).steps.contains(.cover("run/imgstore-resolv.conf", at: "etc/resolv.real")))
    try? FileManager.default.removeItem(atPath: "\(node.tree)/etc/resolv.conf")
    #expect(try plan(node).remarks.count == 1, "no file")
    #expect(!node.exists("img/rootimg/etc/resolv.conf"))
  }

  @Test func `a program is looked for in PATH of the tree, unless it has a slash`() throws {
    let node = try node()
    let plain = try plan(node) { $0.variables = ["PATH=/x:/y"] }
    #expect(plain.programs.map { printable($0) } == ["/x/tool", "/y/tool"])
    #expect(plain.arguments.map { printable($0) } == ["tool", "a b"])
    #expect(plain.environment.map { printable($0) }.contains("PATH=/x:/y"))
    #expect(try plan(node) { $0.command = [Array("./t".utf8)] }.programs == [Array("./t".utf8)])
    #expect(errorCode { try self.plan(node) { $0.command = [[]] } } == .usage)
    #expect(errorCode { try self.plan(node) { $0.variables = ["=x"] } } == .usage)
  }

  @Test func `a shell is that of the tree`() throws {
    let node = try node()
    let shell = try plan(node) { $0.command = [] }
    #expect(shell.programs.map { printable($0) } == ["/bin/sh"])
    #expect(shell.environment.map { printable($0) }.contains("HISTFILE="))
  }

  @Test(arguments: ["", ":/mnt", "/etc:mnt", "/etc:/mnt:rx", "/etc:/a/../b", "/etc:/mnt:ro:x"])
  func `a bind of another form is a usage error`(_ text: String) {
    #expect(errorCode { _ = try BindArgument(text) } == .usage)
  }

  @Test func `a bind needs its target in the tree, and follows links there`() throws {
    let node = try node()
    for bind in ["/none:/mnt", "/etc:/absent", "/etc/passwd:/mnt", "/etc:/etc/resolv.conf"] {
      #expect(errorCode { try self.plan(node) { $0.binds = [bind] } } == .pathNotFound, "\(bind)")
    }
    for bind in ["/etc:/", "/etc:/proc/sys"] {
      #expect(errorCode { try self.plan(node) { $0.binds = [bind] } } != nil, "\(bind)")
    }
    try link("out", to: "/mnt", node)
    #expect(try paths(plan(node) { $0.binds = ["/etc:/out"] }).last == "mnt")
  }

  @Test func `an image without a tree has no command in it`() throws {
    let node = try TestNode(stage: { _ in })
    _ = try node.open().define("new", ["provmethod=netboot", "rootimgdir=/new"])
    #expect(
      errorCode { _ = try node.workspace.planRun(RunRequest("new", [Array("a".utf8)])) }
        == .filesMissing)
  }
}
