// `push` and `pull` are killed before their n-th file operation: both stores stay whole, and repeating the command
// completes it.

import Codec
import Foundation
import Platform
import RemoteProtocol
import Store
import TestSupport
import Testing
import Transfer

@Suite(.usesTools, .sweep) struct ClientKillTests {
  @Test(arguments: ["push", "pull"])
  func `a killed client leaves whole stores, and the repeated command completes`(
    command: String
  ) throws {
    let full = try SampleStore()
    try full.writeTree(seed: 31, files: 30, wide: 3)
    try full.snapshot()
    try full.changeTree(seed: 32)
    try full.snapshot()
    let whole = try run(command, full, SampleStore(), killingAt: 0)
    #expect(whole.status == 0, "\(whole.errors)")
    let total = whole.operations
    var kills = 0
    for operation in Sweep(every: max(1, total / 7)) where operation > 0 {
      if operation > total { break }
      let receiver = try SampleStore()
      let name = "\(command), operation \(operation) of \(total)"
      let killed = try run(command, full, receiver, killingAt: operation)
      kills += killed.status == 137 ? 1 : 0
      // The server of a killed client ends by itself.
      try waitForServers(of: receiver)
      try receiver.expectSound()
      let third = try SampleStore()
      let source = LocalSource(try receiver.reopened(), name: "receiver")
      let sink = LocalSink(third.store, name: "third", origin: "receiver", lockWait: .forever)
      for number in try receiver.reopened().refs.numbers(of: ImageName("compute")) {
        try transfer(number, from: source, to: sink, baseStore: third.store)
      }
      try third.expectSound()
      let repeated = try run(command, full, receiver, killingAt: 0)
      #expect(repeated.status == 0, "\(name): \(repeated.errors)")
      #expect(try receiver.ids() == full.ids(), "\(name)")
      try receiver.expectSound()
    }
    #expect(kills > 0)
  }

  /// Pushes or pulls both snapshots with the real program, killed at an operation; 0 for none.
  private func run(
    _ command: String, _ full: SampleStore, _ receiver: SampleStore, killingAt operation: Int
  ) throws -> (status: Int32, operations: Int, errors: String) {
    let (local, remote) = command == "push" ? (full, receiver) : (receiver, full)
    let directory = receiver.directory
    let counts = directory.path("count")
    let root = directory.path("root")
    try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true)
    let ssh = try fakeSSH(
      directory,
      "exec '\(binary)' serve --stdio --store '\(remote.directory.path("store"))'")
    let result = try TestSupport.run(
      killatBinary,
      arguments: [
        "\(operation)", counts, binary, command, "ssh://host", "compute@1", "compute@2", "--store",
        local.directory.path("store"), "--root", root,
      ], environment: [SSHTransport.programVariable: ssh])
    let text = try String(contentsOfFile: counts, encoding: .utf8)
    return (
      result.status, Int(text.trimmingCharacters(in: .whitespacesAndNewlines)) ?? 0, result.errors
    )
  }

  /// Waits until no server has the store open.
  private func waitForServers(of sample: SampleStore) throws {
    let path = sample.directory.path("store")
    try waitUntil {
      try !TestSupport.run("pgrep", "-f", "serve --stdio --store \(path)").didSucceed
    }
  }
}
