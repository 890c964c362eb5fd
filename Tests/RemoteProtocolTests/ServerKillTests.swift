// The server of a push is killed before its n-th file operation: the store stays whole, and repeating the push
// completes it.

import Codec
import Foundation
import Platform
import RemoteProtocol
import Store
import TestSupport
import Testing
import Transfer

@Suite(.usesTools, .sweep) struct ServerKillTests {
  @Test func `a store whose server is killed is whole, and a repeated push completes it`() throws {
    let local = try SampleStore()
    try local.writeTree(seed: 21, files: 30, wide: 3)
    try local.snapshot()
    try local.changeTree(seed: 22)
    try local.snapshot()
    let total = try push(local, to: SampleStore(), killingAt: 0).operations
    #expect(total > 30, "\(total) operations")
    var kills = 0
    for operation in Sweep(every: max(1, total / 8)) where operation > 0 {
      if operation > total { break }
      let remote = try SampleStore()
      let name = "operation \(operation) of \(total)"
      let killed = try push(local, to: remote, killingAt: operation)
      if let error = killed.error {
        kills += 1
        #expect(error.errorCode == .remoteUnavailable, "\(name): \(error)")
      }
      // A third store takes everything that has a ref, and reads it to the last byte.
      try remote.expectSound()
      let third = try SampleStore()
      let source = LocalSource(try remote.reopened(), name: "remote")
      let sink = LocalSink(third.store, name: "third", origin: "remote", lockWait: .forever)
      for number in try remote.reopened().refs.numbers(of: ImageName("compute")) {
        try transfer(number, from: source, to: sink, baseStore: third.store)
      }
      try third.expectSound()
      let repeated = try push(local, to: remote, killingAt: 0)
      #expect(repeated.error == nil, "\(name): \(repeated.error?.messageWithHint ?? "")")
      #expect(try remote.ids() == local.ids(), "\(name)")
      try remote.expectSound()
    }
    #expect(kills > 0)
  }

  /// Pushes both snapshots to a server that is killed at an operation; 0 for none.
  private func push(
    _ local: SampleStore, to remote: SampleStore, killingAt operation: Int
  ) throws -> (error: TransferError?, operations: Int) {
    let counts = remote.directory.path("count")
    let ssh = try fakeSSH(
      remote.directory,
      "exec '\(killatBinary)' \(operation) '\(counts)' '\(binary)' serve --stdio --store "
        + "'\(remote.directory.path("store"))'")
    var failure: TransferError?
    do {
      let connection = try SSHServer.connect("ssh://host", ssh: ssh)
      defer { connection.close() }
      let source = LocalSource(local.store, name: "here")
      for number in 1...2 {
        try transfer(number, from: source, to: RemoteStore(connection), baseStore: local.store)
      }
    } catch let error as TransferError { failure = error }
    let text = try String(contentsOfFile: counts, encoding: .utf8)
    return (failure, Int(text.trimmingCharacters(in: .whitespacesAndNewlines)) ?? 0)
  }
}
