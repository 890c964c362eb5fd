// Tests keys and signatures in files: permissions, lifetime, and the result of `verify`.

import Foundation
import Images
import Platform
import Signatures
import Store
import TestSupport
import Testing

@Suite(.usesTools) struct SignatureStoreTests {
  // MARK: Keys

  @Test func `only the owner can read a private key, and it is never overwritten`() throws {
    let node = try TestNode.fresh()
    let outcome = try node.workspace.generateKey()
    let file = try #require(outcome.privateFile)
    #expect(try run("stat", "-c", "%a", file, file + ".pub").output == "600\n644\n")
    let before = try Data(contentsOf: URL(fileURLWithPath: file))
    #expect(throws: ImageError.self) { try node.workspace.generateKey() }
    #expect(try Data(contentsOf: URL(fileURLWithPath: file)) == before)
    for name in ["other", "other.pub"] {
      try shell("cd \"$1\"; rm -f other*; echo x >$2", node.directory.path, name)
      #expect(throws: ImageError.self) {
        try node.workspace.generateKey(output: node.directory.path("other"))
      }
      #expect(try run("ls", node.directory.path).output.contains(name))
    }
    for mode in ["640", "604", "660", "622"] {
      try shell("chmod $2 \"$1\"", file, mode)
      #expect(throws: ImageError.self, "\(mode)") { try node.workspace.signingKey() }
    }
    try shell("chmod 600 \"$1\"", file)
    _ = try node.workspace.signingKey()
    try shell("mv \"$1\" \"$1.real\"; ln -s \"$1.real\" \"$1\"", file)
    #expect(throws: ImageError.self) { try node.workspace.signingKey() }
    #expect(
      try run("ls", "-A", node.path("/etc/imgstore")).output.contains("imgstore-key") == false)
  }

  @Test func `keys are read below the root, also through links`() throws {
    let node = try TestNode.fresh(stage: { root in
      try shell("mkdir \"$1/keys\" \"$1/etc\" -p; ln -s /keys \"$1/etc/imgstore\"", root)
    })
    _ = try node.workspace.generateKey()
    #expect(try run("ls", node.path("/keys")).output.contains("signing-key.pem\n"))
    _ = try node.workspace.signingKey()
    #expect(try node.workspace.trustedKeys().all.count == 1)
  }

  @Test func `a key directory that other users can change is not trusted`() throws {
    let node = try TestNode.fresh()
    _ = try node.workspace.generateKey()
    let directory = node.workspace.trustedKeysPath
    for path in [directory, directory + "/self*.pem"] {
      try shell("chmod g+w $1", path)
      #expect(throws: ImageError.self, "\(path)") { try node.workspace.trustedKeys() }
      try shell("chmod g-w $1", path)
    }
    #expect(try node.workspace.trustedKeys().all.count == 1)
    try shell("cd \"$1\"; echo x >bad.pem", directory)
    #expect(throws: SignatureError.self) { try node.workspace.trustedKeys() }
    try shell("cd \"$1\"; rm bad.pem; mkfifo fifo.pem", directory)
    #expect(throws: ImageError.self) { try node.workspace.trustedKeys() }
    try shell("cd \"$1\"; rm fifo.pem; echo x >README; ln -s README .hidden.pem", directory)
    #expect(try node.workspace.trustedKeys().all.count == 1)
    let other = try TestNode.fresh()
    let key = try other.workspace.generateKey(output: other.directory.path("k"))
    _ = try node.workspace.trustKey(key.publicFiles[0])
    // A known key keeps its name, and another key cannot take that name.
    _ = try node.workspace.trustKey(key.publicFiles[0], as: "again")
    #expect(try node.workspace.trustedKeys().all.map(\.name).contains("k"))
    let third = try other.workspace.generateKey(output: other.directory.path("t"))
    #expect(throws: ImageError.self) { try node.workspace.trustKey(third.publicFiles[0], as: "k") }
    #expect(throws: ImageError.self) {
      try node.workspace.trustKey(third.publicFiles[0], as: "../k")
    }
    #expect(throws: SignatureError.self) {
      try node.workspace.trustKey(try #require(third.privateFile))
    }
  }

  // MARK: In the store

  private func signedStore() throws -> (sites: SignedSites, directory: String) {
    let sites = try SignedSites()
    let snapshot = try sites.origin.workspace.snapshot(try sites.image).committed
    _ = try sites.origin.workspace.sign([snapshot.name], with: sites.key)
    return (sites, sites.directory.path("store/signatures/\(SignedSites.image)"))
  }

  @Test func `a snapshot can have several signatures, and removing it removes them`() throws {
    let (sites, directory) = try signedStore()
    let workspace = sites.origin.workspace
    _ = try workspace.generateKey(output: sites.directory.path("second"))
    let second = try workspace.signingKey(sites.directory.path("second"))
    let name = "\(SignedSites.image)@3"
    // Signing again with the same key gives the same signature.
    _ = try workspace.sign([name, name], with: second)
    let trusted = try workspace.trustedKeys()
    let found = try workspace.find(Reference(name))
    let signatures = try workspace.signatures(of: found, trusted, recomputes: true)
    #expect(signatures.count == 2)
    #expect(Set(signatures.map(\.key)) == [sites.key.publicKey.id, second.publicKey.id])
    #expect(signatures.filter { $0.verdict == .valid }.map(\.key) == [sites.key.publicKey.id])
    #expect(signatures.contains { $0.verdict == .untrusted })
    #expect(try workspace.log(SignedSites.image).map(\.isSigned) == [true, false, false])
    #expect(try run("ls", directory).output.split(separator: "\n").count == 3)
    #expect(try workspace.verify(deep: false).isClean)
    _ = try workspace.remove([name], force: true)
    #expect(try run("ls", directory).output == "")
    #expect(try workspace.verify(deep: false).isClean)
  }

  @Test func `verify checks each signature against the snapshot`() throws {
    let (sites, directory) = try signedStore()
    let workspace = sites.origin.workspace
    let trusted = try workspace.trustedKeys()
    let clean = try workspace.verifySignatures(trusted)
    #expect(clean.bad.isEmpty && clean.untrusted.isEmpty)
    #expect(clean.unsigned == ["\(SignedSites.image)@1", "\(SignedSites.image)@2"])
    #expect(try workspace.verifySignatures(sites.target.workspace.trustedKeys()).bad.isEmpty)
    // No key is trusted: the signature is neither good nor bad.
    try shell("mkdir -p \"$1/none\"", sites.directory.path)
    let none = try workspace.trustedKeys(sites.directory.path("none"))
    #expect(try workspace.verifySignatures(none).untrusted.count == 1)
    // Another snapshot's signature under a matching name, and a statement of our own key about other content.
    for script in [
      "for f in 0000000003*; do mv $f 0000000002${f#0000000003}; done",
      "f=$(ls *.$2); printf '\\1' | dd of=$f bs=1 conv=notrunc status=none",
      """
      s=$(ls | head -1); sed -i 's/kernel 0644/kernel 0666/' $s; n=$(sha256sum <$s | cut -c1-64)
      openssl pkeyutl -sign -inkey "$3" -rawin -in $s -out 0000000003.signed.$n.$2
      mv $s 0000000003.signed.$n; rm $s.$2
      """,
    ] {
      try shell("cp -a \"$1\" \"$1.keep\"", directory)
      try shell(
        "cd \"$1\"; \(script)", directory, sites.key.publicKey.id.hex, workspace.signingKeyPath)
      let report = try workspace.verifySignatures(trusted)
      #expect(report.bad.count == 1, "\(script)")
      try shell("rm -r \"$1\"; mv \"$1.keep\" \"$1\"", directory)
    }
    #expect(try workspace.verifySignatures(trusted).bad.isEmpty)
  }

  @Test(arguments: [
    "s=$(ls | head -1); printf x >>$s", "s=$(ls | tail -1); truncate -s 63 $s",
    "s=$(ls | tail -1); : >$s", "rm $(ls | head -1)", "touch stray", "mkdir 0000000003.signed.x",
    "for f in *; do mv $f 0000000009${f#0000000003}; done", "s=$(ls | tail -1); rm $s; mkfifo $s",
    "s=$(ls | tail -1); mv $s x; ln -s x $s", "s=$(ls | head -1); truncate -s 1T $s",
    "s=$(ls | tail -1); mv $s ${s%%signed*}origin${s##*signed}", "touch ../stray",
    "mkdir ../.odd", "s=$(ls | tail -1); rm $s; mkdir $s",
  ])
  func `damaged signatures are reported and repaired`(_ damage: String) throws {
    let (sites, directory) = try signedStore()
    let workspace = sites.origin.workspace
    try shell("cd \"$1\"; \(damage)", directory)
    let fresh = try Workspace(workspace.options) { _ in }
    #expect(try !fresh.verify(deep: false).isClean, "\(damage)")
    // Other commands continue, and the snapshots are complete.
    _ = try fresh.log(SignedSites.image)
    _ = try fresh.verifySignatures(fresh.trustedKeys())
    _ = try fresh.exporting("\(SignedSites.image)@3", to: sites.directory.path("x.tgz"))
    let repaired = try fresh.repair()
    #expect(repaired.isClean, "\(damage)")
    #expect(try fresh.verify(deep: false).isClean, "\(damage)")
    #expect(try fresh.repair().actions.isEmpty)
    // The snapshot can be signed again.
    _ = try fresh.sign(["\(SignedSites.image)@3"], with: sites.key)
    let report = try fresh.verifySignatures(fresh.trustedKeys())
    #expect(report.bad.isEmpty && report.unsigned.count == 2)
    #expect(try fresh.verify(deep: false).isClean)
  }

  @Test func `an interrupted signature leaves only a statement, which is ignored`() throws {
    let (sites, directory) = try signedStore()
    try shell("cd \"$1\"; rm $(ls | tail -1)", directory)
    #expect(try sites.origin.workspace.verify(deep: false).isClean)
    #expect(try sites.origin.workspace.log(SignedSites.image).allSatisfy { !$0.isSigned })
  }

  @Test func `a store without a signature directory works`() throws {
    let (sites, _) = try signedStore()
    try shell("rm -r \"$1\"", sites.directory.path("store/signatures"))
    let fresh = try Workspace(sites.origin.workspace.options) { _ in }
    #expect(try fresh.verify(deep: false).isClean)
    #expect(try fresh.log(SignedSites.image).count == 3)
    _ = try fresh.sign([SignedSites.image], with: sites.key)
    #expect(try fresh.verifySignatures(fresh.trustedKeys()).bad.isEmpty)
  }

  // MARK: Signatures of the origin

  @Test
  func `the origin's signature is kept and exported while it fits the image`()
    throws
  {
    let sites = try SignedSites()
    let bundle = try sites.export { $0.signingKey = sites.key }
    #expect(try sites.refusal(bundle) == nil)
    let second = sites.target.workspace
    let imported = try second.find(Reference(SignedSites.image))
    let statuses = try second.signatures(of: imported, second.trustedKeys(), recomputes: true)
    #expect(statuses.count == 2)
    #expect(statuses.allSatisfy { $0.kind == .origin && $0.verdict == .valid })
    #expect(statuses.allSatisfy { $0.keyName == "origin" && $0.subject?.hasSuffix("@3") == true })
    #expect(try second.log(SignedSites.image).allSatisfy { !$0.isSigned })
    // A third site trusts only the first one.
    let third = try TestNode.fresh()
    _ = try third.workspace.trustKey(sites.origin.workspace.signingKeyPath + ".pub")
    let onward = sites.directory.path("onward.tgz")
    _ = try second.exporting(imported.name, to: onward)
    #expect(try sites.refusal(onward, in: third) == nil)
    // An import under another name is another image.
    let renamed = try sites.origin.workspace.importing(bundle) { $0.profile = "renamed" }
    let name = try #require(renamed.imported?.name)
    let outcome = try sites.origin.workspace.exporting(
      name, to: sites.directory.path("renamed.tgz"))
    #expect(!outcome.members.contains { $0.name.hasPrefix("complete/") })
  }

  @Test func `an interrupted import keeps the signature of the origin`() throws {
    let sites = try SignedSites()
    let bundle = try sites.export { $0.signingKey = sites.key }
    // The disk fails when the first file is written; the bundle is gone when the import resumes.
    let files = FaultyFileSystem(failing: 0, .always("setModified", .inputOutput))
    let (store, root) = (sites.target.directory.path("store"), sites.target.directory.path("root"))
    let cut = try Workspace(
      WorkspaceOptions(store: store, root: root), fileSystem: files
    ) { _ in }
    var request = ImportRequest(bundle)
    request.allowsPrivileged = true
    #expect(throws: (any Error).self) { try cut.importBundle(request) }
    let workspace = sites.target.workspace
    let name = try #require(try workspace.unfinished().first?.target)
    try FileManager.default.removeItem(atPath: bundle)
    #expect(try workspace.resume(nil, .forward).revert?.isExact == true)
    let imported = try workspace.find(Reference(name))
    let statuses = try workspace.signatures(of: imported, workspace.trustedKeys(), recomputes: true)
    #expect(statuses.count == 2)
    #expect(statuses.allSatisfy { $0.kind == .origin && $0.verdict == .valid })
  }
}
