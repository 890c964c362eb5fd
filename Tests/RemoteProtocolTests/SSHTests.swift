// The real program at the other end of a real ssh.

import Codec
import Foundation
import Platform
import RemoteProtocol
import Store
import TestSupport
import Testing
import Transfer

@Suite(
  .usesTools, .serialized,
  .enabled(if: canRunSSH, "needs openssh-server and the built program"))
struct SSHTests {
  private let server: SSHServer
  private let local: SampleStore
  private let remote: SampleStore
  private var source: LocalSource { LocalSource(local.store, name: "here") }
  private var remotePath: String { remote.directory.path("store") }

  init() throws {
    server = try SSHServer()
    local = try SampleStore()
    remote = try SampleStore()
    try local.writeTree(seed: 11)
    try local.snapshot()
  }

  @Test func `a snapshot is pushed and pulled through ssh`() throws {
    try server.force("--store \(remotePath)")
    let connection = try server.connect()
    #expect(connection.rights == .full)
    #expect(connection.store == remotePath)
    try transfer(1, from: source, to: RemoteStore(connection), baseStore: local.store)
    connection.close()
    #expect(try remote.ids() == local.ids())
    try remote.expectSound()

    let third = try SampleStore()
    let reader = RemoteStore(try server.connect())
    let sink = LocalSink(third.store, name: "third", origin: reader.name, lockWait: .forever)
    try transfer(1, from: reader, to: sink, baseStore: third.store)
    reader.connection.close()
    #expect(try third.ids() == local.ids())
    try third.expectSound()
  }

  @Test func `an unchanged image costs less than 4 KB with the connection`() throws {
    try server.force("--store \(remotePath) --append-only")
    let first = try server.connect()
    try transfer(1, from: source, to: RemoteStore(first), baseStore: local.store)
    first.close()
    let connection = try server.connect()
    try transfer(1, from: source, to: RemoteStore(connection), baseStore: local.store)
    #expect(connection.transferredBytes < 4096)
    connection.close()
  }

  @Test func `a read-only key reads and adds nothing`() throws {
    try server.force("--store \(remotePath) --read-only")
    let connection = try server.connect()
    #expect(connection.rights == .readOnly)
    #expect(errorCode { _ = try RemoteStore(connection).begin() } == .remoteDenied)
    #expect(try RemoteStore(connection).images() == [])
    connection.close()
  }

  @Test func `an append-only key pushes and moves no tag`() throws {
    try server.force("--store \(remotePath) --append-only")
    let connection = try server.connect()
    #expect(connection.rights == .appendOnly)
    let served = RemoteStore(connection)
    try transfer(1, from: source, to: served, baseStore: local.store)
    try local.snapshot(message: "second")
    try transfer(2, from: source, to: served, baseStore: local.store)
    let session = try served.begin()
    let image = try ImageName("compute")
    #expect(try session.tag("production", of: image, 1) == 1)
    #expect(try session.tag("production", of: image, 2) == 1)
    session.end()
    connection.close()
    #expect(try remote.ids() == local.ids())
  }

  @Test func `a forced command gives access to one store`() throws {
    let other = try SampleStore()
    for arguments in ["--store \(remotePath)", "--store \(remotePath) --read-only"] {
      try server.force(arguments)
      let path = other.directory.path("store")
      #expect(errorCode { _ = try server.connect(path: path) } == .remoteDenied)
      try server.connect(path: remotePath).close()
    }
    // Without a store in the forced command, the client names it.
    try server.authorize("command=\"\(binary) serve --stdio\"")
    let connection = try server.connect(path: other.directory.path("store"))
    #expect(connection.store == other.directory.path("store"))
    connection.close()
    #expect(errorCode { _ = try server.connect(path: "/nonexistent") } == .storeNotFound)
  }

  @Test func `the client names the command, and nothing else runs`() throws {
    // Without a forced command, the account runs what ssh passes on: a constant.
    try server.authorize(
      "command=\"echo \\\"$SSH_ORIGINAL_COMMAND\\\" >'\(server.path("command"))'\"")
    #expect(errorCode { _ = try server.connect(path: "/a;id") } == .remoteUnavailable)
    let command = try String(contentsOfFile: server.path("command"), encoding: .utf8)
    #expect(command == "imgstore serve --stdio\n")
  }

  @Test func `a broken connection is noticed and named`() throws {
    try server.force("--store \(remotePath)")
    let connection = try server.connect()
    let session = try RemoteStore(connection).begin()
    try server.killConnections()
    let start = monotonicSeconds()
    let error = #expect(throws: TransferError.self) {
      while true { _ = try session.missing([ObjectName(kind: .tree, id: emptyBlob)]) }
    }
    #expect(error?.errorCode == .remoteUnavailable)
    #expect(error?.message.hasPrefix("ssh://127.0.0.1") == true)
    #expect(monotonicSeconds() - start < 20)
  }

  @Test func `reasons of ssh are explained`() throws {
    try server.force("--store \(remotePath)")
    // Another host key than the known one.
    let unknown = try fakeSSH(
      server.directory,
      "exec ssh -F none -i '\(server.path("client"))' -o UserKnownHostsFile=/dev/null "
        + "-o GlobalKnownHostsFile=/dev/null -o StrictHostKeyChecking=yes \"$@\"")
    let keyError = #expect(throws: TransferError.self) { _ = try server.connect(ssh: unknown) }
    #expect(keyError?.errorCode == .remoteUnavailable)
    #expect(keyError?.message.contains("host key") == true)
    // A key that is not authorized.
    try "".write(toFile: server.path("authorized_keys"), atomically: true, encoding: .utf8)
    #expect(errorCode { _ = try server.connect() } == .remoteDenied)
    // Nobody listens.
    #expect(errorCode { _ = try server.connect(port: 1) } == .remoteUnavailable)
    // No program in PATH, and a login shell that prints something.
    try server.authorize("command=\"exec /nonexistent/imgstore serve --stdio\"")
    #expect(errorCode { _ = try server.connect() } == .remoteUnsuitable)
    try server.authorize("command=\"echo Welcome; \(binary) serve --stdio\"")
    let noise = #expect(throws: TransferError.self) { _ = try server.connect() }
    #expect(noise?.errorCode == .remoteUnsuitable)
    #expect(noise?.message.contains("Welcome") == true)
  }

  @Test func `lines of standard error are printable and name the remote`() throws {
    try server.authorize("command=\"printf 'a\\033[31mb\\n' >&2; \(binary) serve --stdio\"")
    let lines = Monitor<[String]>([])
    let connection = try server.connect(path: remotePath) { line in lines.update { $0.append(line) }
    }
    connection.close()
    #expect(
      lines.withLock { $0 } == ["ssh://127.0.0.1:\(server.port)\(remotePath): a\\x1b[31mb"])
  }

  @Test func `versions without overlap refuse each other in words, in both directions`() throws {
    let newer = Greeting(versions: 7...9, program: "imgstore 9.9")
    try server.force("--store \(remotePath)")
    let lines = Monitor<[String]>([])
    let error = #expect(throws: TransferError.self) {
      _ = try server.connect(greeting: newer) { line in lines.update { $0.append(line) } }
    }
    #expect(error?.errorCode == .remoteUnsuitable)
    #expect(error?.hint == "Update imgstore there")
    let old = try fakeSSH(
      server.directory, "echo 'imgstore-remote 7-9 imgstore 9.9'; cat >/dev/null")
    let refusal = #expect(throws: TransferError.self) { _ = try server.connect(ssh: old) }
    #expect(refusal?.errorCode == .remoteUnsuitable)
    #expect(refusal?.message.contains("imgstore 9.9") == true)
    #expect(refusal?.hint == "Update imgstore on this machine")
  }
}
