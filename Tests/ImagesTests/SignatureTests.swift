// Tests what signatures cover, when they are verified, and that an import rejects unsigned changes.

import Codec
import Foundation
import Images
import Platform
import Signatures
import Store
import TestSupport
import Testing

/// Two sites: one signs, the other trusts its key.
final class SignedSites: Sendable {
  static let image = "rhels8.5.0-x86_64-netboot-compute"
  let origin: TestNode
  let target: TestNode
  let key: SigningKey
  var directory: TemporaryDirectory { origin.directory }

  init(_ bundle: String = "stateless") throws {
    origin = try TestNode.fresh()
    target = try TestNode.fresh()
    if !bundle.isEmpty { _ = try origin.workspace.importing(fixture("xcat/\(bundle).tgz")) }
    let outcome = try origin.workspace.generateKey()
    key = try origin.workspace.signingKey()
    _ = try target.workspace.trustKey(outcome.publicFiles[0], as: "origin")
  }

  /// The image's name at the origin.
  var image: String { get throws { try #require(try origin.workspace.images().first?.name) } }

  /// Signs the live image and exports it.
  func export(
    _ name: String = "signed.tgz", _ change: (inout ExportRequest) -> Void = { _ in }
  ) throws -> String {
    let snapshot = try origin.workspace.snapshot(try image).committed
    _ = try origin.workspace.sign([snapshot.name], with: key)
    _ = try origin.workspace.exporting(snapshot.name, to: directory.path(name), change)
    return directory.path(name)
  }

  /// Returns why the target refuses a bundle that must be signed; nil if it imports the bundle. Checks that a
  /// refusal changes nothing.
  func refusal(_ bundle: String, in node: TestNode? = nil) throws -> String? {
    let node = node ?? target
    let before = try node.state()
    do {
      let image = try node.workspace.importing(bundle) {
        $0.requiresSignature = true
        $0.replaces = true
        $0.allowsPrivileged = true
      }
      #expect(image.remaining?.isEmpty == true)
      return nil
    } catch let error as any ExplainedError {
      #expect(try node.state() == before, "changed by a refused bundle: \(error.messageWithHint)")
      #expect(try node.workspace.images().allSatisfy { $0.snapshots == 0 })
      return error.messageWithHint
    }
  }

  /// Returns a bundle after `script` has changed its directory. GNU tar writes it, without checksums of
  /// members.
  func changed(_ bundle: String, _ script: String) throws -> String {
    let work = directory.path("w-\(randomName())")
    try shell(
      """
      mkdir "$2"; tar xzpf "$1" -C "$2" --numeric-owner; cd "$2"/*/
      sign() { openssl pkeyutl -sign -inkey "$KEY" -rawin -in "$1" -out "$2"; }
      KEY="$3"; S=complete/signatures
      \(script)
      cd "$2"; tar czf "$2.tgz" --numeric-owner --sort=name .
      """, bundle, work, origin.workspace.signingKeyPath)
    return work + ".tgz"
  }
}

@Suite(.usesTools) struct SignatureTests {
  // MARK: Verified by other tools

  @Test func `openssl verifies signatures in the store and in a bundle`() throws {
    let sites = try SignedSites()
    let bundle = try sites.export { $0.signingKey = sites.key }
    let checks = """
      for sig in "$1"/*"$3"; do
        statement=${sig%"$4"}; [ -f "$statement" ] || statement=${statement}$5
        openssl pkeyutl -verify -pubin -inkey "$2" -rawin -in "$statement" -sigfile "$sig"
        sha256sum "$statement" | cut -c1-64
      done
      """
    let key = sites.origin.workspace.signingKeyPath + ".pub"
    let id = sites.key.publicKey.id.hex
    let store = sites.directory.path("store/signatures/\(SignedSites.image)")
    let inStore = try shell(checks, store, key, "." + id, "." + id, "")
    #expect(inStore.output.components(separatedBy: "Verified Successfully").count == 2)
    try shell("mkdir \"$2\"; tar xzf \"$1\" -C \"$2\"", bundle, sites.directory.path("x"))
    let inside = sites.directory.path("x/\(SignedSites.image)")
    let inBundle = try shell(
      checks, inside + "/complete/signatures", key, ".\(id).sig", ".\(id).sig", ".statement")
    // One is the snapshot's statement, the other the bundle's.
    #expect(inBundle.output.components(separatedBy: "Verified Successfully").count == 3)
    // sha256sum compares the files independently.
    let files = try shell(
      """
      cd "$1"; cat complete/signatures/*.statement | awk '$1 == "file" && $2 == "member" {
        print $9 "  " $3 }' | tee /dev/stderr | sha256sum -c --quiet && echo right
      """, inside)
    #expect(files.output == "right\n")
    #expect(files.errors.contains("  kernel") && files.errors.contains("  manifest.xml"))
    // openssl refuses a wrong message, too.
    let wrong = try run(
      "bash", "-c",
      "cd \"$1\"/complete/signatures; f=$(ls *.sig | head -1); echo >>${f%%.*}.statement; "
        + "openssl pkeyutl -verify -pubin -inkey \"$2\" -rawin -in ${f%%.*}.statement -sigfile $f",
      "x", inside, key)
    #expect(!wrong.didSucceed)
  }

  // MARK: Bundles that pass

  @Test func `an import accepts a signed bundle, also one that another tar wrote`() throws {
    let sites = try SignedSites()
    let bundle = try sites.export()
    #expect(try sites.refusal(bundle) == nil)
    for script in ["true", "mv kernel k; cp -a k kernel; rm k", "echo x >unnamed"] {
      let other = try TestNode.fresh()
      _ = try other.workspace.trustKey(sites.origin.workspace.signingKeyPath + ".pub")
      #expect(try sites.refusal(sites.changed(bundle, script), in: other) == nil, "\(script)")
    }
  }

  /// Each form of bundle: signed as a snapshot if that covers it, and as a bundle.
  @Test(arguments: [
    ("stateless", true), ("stateless-sfs", true), ("stateless-base-exlist", true), ("kit1", true),
    ("statefull", true), ("s390x-raw", true),
    // Their litefile.csv has rows for ALL, which belong to no image.
    ("statelite", false), ("p27-statelite", false),
    ("p26-full", true),
  ])
  func `each form of bundle can be signed`(_ bundle: String, _ isCovered: Bool) throws {
    let sites = try SignedSites(bundle)
    let plain = try sites.refusal(sites.export("plain.tgz"))
    #expect((plain == nil) == isCovered, "\(bundle): \(plain ?? "taken")")
    let other = try TestNode.fresh()
    _ = try other.workspace.trustKey(sites.origin.workspace.signingKeyPath + ".pub")
    let whole = try sites.export("whole.tgz") { $0.signingKey = sites.key }
    #expect(try sites.refusal(whole, in: other) == nil, "\(bundle)")
  }

  @Test func `a complete bundle with its tree is covered`() throws {
    let sites = try SignedSites("")
    try runFixture("scripts/trees/make-image-to-sign.sh", sites.origin.path("/install"))
    _ = try sites.origin.workspace.define(
      "img",
      [
        "provmethod=netboot", "rootimgdir=/install/img", "profile=p", "osvers=rhels9",
        "osarch=x86_64", "pkglist=/install/p.pkglist",
      ])
    let bundle = try sites.export { $0.isComplete = true }
    #expect(try sites.refusal(bundle) == nil)
    // A change of the tree alone is detected: content, mode, link, an attribute, a time.
    for script in [
      "echo x >>rootimg/etc/motd", "chmod u-s rootimg/etc/twin", "chmod +t rootimg/etc",
      "ln -sfn twin rootimg/etc/link", "rm rootimg/etc/fifo", "rm -r rootimg/empty",
      "touch -d '2001-01-01' rootimg/large", "touch rootimg/new", "chown 1 rootimg/large",
      "cp rootimg/etc/twin rootimg/t; mv rootimg/t rootimg/etc/twin",
      "setfattr -n user.label -v y rootimg/large", "setfattr -x user.label rootimg/large",
      "setfattr -n user.more -v y rootimg/etc/motd",
    ] {
      let changed = try sites.changed(
        bundle,
        """
        mkdir t; zstd -qdc complete/rootimg.tar.zst | tar xpf - -C t --xattrs --xattrs-include='*'
        (cd t; \(script); tar cf - --xattrs --xattrs-include='*' --format=pax rootimg) |
          zstd -q >complete/n; touch -r complete/rootimg.tar.zst complete/n
        mv complete/n complete/rootimg.tar.zst; rm -r t
        """)
      let other = try TestNode.fresh()
      _ = try other.workspace.trustKey(sites.origin.workspace.signingKeyPath + ".pub")
      let refusal = try sites.refusal(changed, in: other)
      #expect(refusal?.contains("complete/rootimg.tar.zst") == true, "\(script): \(refusal ?? "-")")
    }
  }

  // MARK: Bundles that are refused

  @Test func `an unsigned bundle and one with an untrusted signature change nothing`() throws {
    let sites = try SignedSites()
    let bundle = try sites.export()
    let unsigned = try sites.changed(bundle, "rm -r complete")
    #expect(try sites.refusal(unsigned)?.contains("is not signed") == true)
    let plain = fixture("xcat/stateless.tgz")
    #expect(try sites.refusal(plain)?.contains("is not signed") == true)
    // The signing key is not trusted here.
    let foreign = try SignedSites()
    let refusal = try sites.refusal(foreign.export())
    #expect(refusal?.contains(foreign.key.publicKey.id.shortHex) == true)
    // No key is trusted, so no signature can be required.
    let nobody = try TestNode.fresh()
    #expect(try sites.refusal(bundle, in: nobody) != nil)
    // Without the requirement the import succeeds and reports the signer.
    let outcome = try nobody.workspace.importBundle(ImportRequest(bundle))
    #expect(outcome.origins.map(\.key) == [sites.key.publicKey.id])
    #expect(outcome.origins.allSatisfy { !$0.isVerified && $0.keyName == nil })
  }

  @Test(arguments: [
    // Contents, attributes, paths.
    ("printf X >>kernel", "kernel"), ("chmod 777 kernel", "kernel"),
    ("chown 1 kernel", "kernel"), ("touch kernel", "kernel"),
    ("mv kernel k; mv initrd-stateless.gz kernel; mv k initrd-stateless.gz", "kernel"),
    ("echo evil >>extra/myscript1", "myscript1"),
    (
      "cp -a extra/myscript1 t; cp -a extra/myscript2 extra/myscript1; cp -a t extra/myscript2",
      "myscript"
    ),
    ("echo bash >>compute.pkglist", "compute.pkglist"),
    // The manifest.
    ("sed -i 's,<profile>compute,<profile>compute2,' manifest.xml", "osimage"),
    ("sed -i 's,<imagename>rhels,<imagename>xhels,' manifest.xml", "name"),
    ("sed -i '/<netdrivers>/d' manifest.xml", "linuximage"),
    ("sed -i 's,<osimage>,<osimage><comments>x</comments>,' manifest.xml", "osimage"),
    ("sed -i 's,syslog,evil,' manifest.xml", "postscripts"),
    (
      "sed -i 's,/install/netboot/rhels8.5.0/x86_64/compute/kernel,/install/netboot/k/kernel,' manifest.xml",
      "kernel"
    ),
    ("sed -i 's,<dest>/install/postscripts<,<dest>/install/other<,' manifest.xml", "myscript"),
    (
      "echo x >extra/evil; sed -i 's,<xcatimage>,<xcatimage><extra><src>/a/evil</src><dest>/install/postscripts</dest></extra>,' manifest.xml",
      "evil"
    ),
    (
      "mkdir -p extra/d; echo x >extra/d/e; sed -i 's,<xcatimage>,<xcatimage><extra><src>/d</src><dest>/install/postscripts</dest></extra>,' manifest.xml",
      "extra/d/e"
    ),
    (
      "mkdir k; echo x >k/f; sed -i 's,<xcatimage>,<xcatimage><kit><kitname>k</kitname><kitdir>/install/kits/k</kitdir></kit>,' manifest.xml",
      "kit"
    ),
    // Signatures.
    ("rm $S/*.sig", "no signature"), ("rm $S/*.statement", "no statement"),
    ("truncate -s 63 $S/*.sig", "not a signature"), ("echo >>$S/*.sig", "not a signature"),
    ("head -c 64 /dev/urandom >t; cat t >$(echo $S/*.sig)", "not valid"),
    ("echo >>$(echo $S/*.statement)", "SHA-256"),
    ("sed -i 's/$/\\r/' $S/*.statement", "SHA-256"),
    ("touch $S/readme", "not the name"),
    ("mkdir -p $S; echo x >$S/../../extra/x; echo >$S/x.sig", "not the name"),
    (
      "mv $S/*.sig t; mv t $S/$(echo $S/*.statement | sed 's,.*/,,; s,\\..*,,').$(printf x | sha256sum | cut -c1-64).sig",
      "does not hold"
    ),
    ("rm $S/*.sig; ln -s kernel $S/x.sig", "no signature"),
    (
      "head -c 2M /dev/zero >$S/$(head -c 32 /dev/zero | sha256sum | cut -c1-64).statement",
      "too large"
    ),
    ("for i in $(seq 70); do echo >$S/$i; done", "too many"),
    (
      "f=$(echo $S/*.sig); s=$(basename $S/*.statement .statement); for i in $(seq 20); do cp $f $S/$s.$(echo $i | sha256sum | cut -c1-64).sig; done",
      "more than 16"
    ),
  ])
  func `a changed bundle is refused`(_ change: (script: String, word: String)) throws {
    let sites = try SignedSites()
    let bundle = try sites.export()
    let refusal = try sites.refusal(sites.changed(bundle, change.script))
    #expect(refusal?.contains(change.word) == true, "\(change.script): \(refusal ?? "imported")")
  }

  /// The same for a bundle that is signed as a whole. Even a file that no import applies cannot be added.
  @Test(arguments: [
    "echo x >unnamed", "rm extra/myscript1", "mkdir folder", "chmod 700 extra",
    "printf X >>kernel", "chmod 777 compute.exlist", "echo >>manifest.xml",
    "ln -s myscript1 extra/link", "mv extra/myscript1 extra/myscript3", "touch extra/myscript1",
  ])
  func `a change of a bundle signed as a whole is detected`(_ script: String) throws {
    let sites = try SignedSites()
    let snapshot = try sites.origin.workspace.snapshot(try sites.image).committed
    let bundle = sites.directory.path("whole.tgz")
    _ = try sites.origin.workspace.exporting(snapshot.name, to: bundle) {
      $0.signingKey = sites.key
    }
    let refusal = try sites.refusal(sites.changed(bundle, script))
    // A member that the manifest names is reported as missing first.
    let words =
      script.contains("extra/myscript1 ") || script == "rm extra/myscript1"
      ? "is not in the bundle" : "no trusted key signed"
    #expect(refusal?.contains(words) == true, "\(script): \(refusal ?? "-")")
    #expect(try sites.refusal(bundle) == nil)
  }

  @Test func `statements of other snapshots, images and keys do not fit`() throws {
    let sites = try SignedSites()
    let old = try sites.export("old.tgz")
    try shell("echo new >>\"$1\"", sites.origin.path("/install/postscripts/myscript1"))
    let new = try sites.export("new.tgz")
    // The signatures of one bundle with the files of the other.
    func signatures(of bundle: String) -> String {
      "rm -r complete; tar xzf \(bundle) --wildcards '*/complete/*' --strip-components=2"
    }
    let mixed = try sites.changed(old, signatures(of: new))
    #expect(try sites.refusal(mixed)?.contains("myscript1") == true)
    // A statement that matches the bundle but has no signature, next to a valid one.
    let added = try sites.changed(
      old, "tar xzf \(new) --wildcards '*.statement' --strip-components=2")
    #expect(try sites.refusal(added)?.contains("no signature") == true)
    // Another key's signature under the name of ours.
    let foreign = try SignedSites()
    let confused = try sites.changed(
      try foreign.export(),
      "cd $S; mv *.sig $(basename *.statement .statement).\(sites.key.publicKey.id.hex).sig")
    #expect(try sites.refusal(confused)?.contains("not valid") == true)
    // Two statements of ours: the one that covers the bundle counts.
    let both = try sites.changed(
      old, "tar xzf \(new) --wildcards '*/complete/*' --strip-components=2")
    #expect(try sites.refusal(both) == nil)
  }

  @Test func `extras of an export need the signature of the bundle`() throws {
    let sites = try SignedSites()
    try shell("echo extra >\"$1/install/more\"", sites.origin.directory.path("root"))
    let extra = [ExtraRequest(source: "/install/more")]
    let snapshot = try sites.origin.workspace.snapshot(try sites.image).committed
    _ = try sites.origin.workspace.sign([snapshot.name], with: sites.key)
    let bundle = sites.directory.path("extra.tgz")
    let outcome = try sites.origin.workspace.exporting(snapshot.name, to: bundle) {
      $0.extras = extra
    }
    #expect(outcome.remarks.contains { $0.contains("extra/more") && $0.contains("--sign") })
    #expect(try sites.refusal(bundle)?.contains("extra/more") == true)
    _ = try sites.origin.workspace.exporting(snapshot.name, to: bundle) {
      $0.extras = extra
      $0.signingKey = sites.key
    }
    #expect(try sites.refusal(bundle) == nil)
  }

  // MARK: Flipped bits

  private let flipBit = quotedFixture("scripts/damage/flip-bit.py")

  @Test func `each flipped bit of a statement and its signature is detected`() throws {
    let sites = try SignedSites()
    _ = try sites.export()
    let directory = sites.directory.path("store/signatures/\(SignedSites.image)")
    let names = try FileManager.default.contentsOfDirectory(atPath: directory).sorted()
    let statement = try bytes("\(directory)/\(names[0])")
    let signature = try bytes("\(directory)/\(names[1])")
    #expect(sites.key.publicKey.verify(signature, of: statement))
    for bit in 0..<(8 * statement.count) {
      #expect(
        !sites.key.publicKey.verify(signature, of: flipped(statement, bit)), "statement \(bit)")
    }
    for bit in 0..<(8 * signature.count) {
      #expect(
        !sites.key.publicKey.verify(flipped(signature, bit), of: statement), "signature \(bit)")
    }
    // In a bundle, under a name that matches the changed statement.
    let bundle = try sites.export("flipped.tgz")
    var random = SplitMix64(seeds[0])
    for _ in 0..<12 {
      let byte = Int.random(in: 0..<statement.count, using: &random)
      let bit = Int.random(in: 0..<8, using: &random)
      let changed = try sites.changed(
        bundle,
        """
        cd $S; old=$(basename *.statement .statement)
        \(flipBit) $old.statement \(8 * byte + bit); new=$(sha256sum <$old.statement | cut -c1-64)
        for f in $old.*; do mv $f $new.${f#*.}; done
        """)
      #expect(try sites.refusal(changed) != nil, "byte \(byte), bit \(bit)")
    }
  }

  @Test(arguments: Sweep.some(of: [1, 2, 3] as [UInt64], every: 3))
  func `a flipped bit of any member is detected`(_ seed: UInt64) throws {
    let sites = try SignedSites()
    let bundle = try sites.export()
    let list = try run("tar", "-tzf", bundle).output.split(separator: "\n")
    let members = list.filter { !$0.hasSuffix("/") }.map {
      $0.split(separator: "/").dropFirst(2).joined(separator: "/")
    }
    var random = SplitMix64(seed)
    for member in members {
      let script = "\(flipBit) '\(member)' \(random.next() >> 1)"
      #expect(try sites.refusal(sites.changed(bundle, script)) != nil, "\(member), seed \(seed)")
    }
  }

  private func bytes(_ path: String) throws -> [UInt8] {
    Array(try Data(contentsOf: URL(fileURLWithPath: path)))
  }

  private func flipped(_ bytes: [UInt8], _ bit: Int) -> [UInt8] {
    var bytes = bytes
    bytes[bit / 8] ^= 1 << (bit % 8)
    return bytes
  }
}
