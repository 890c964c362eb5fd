// The kernel parameters of diskless images, as `nodeset` writes them for a node (docs/xcat-contract.md
// #kernel-parameters-of-diskless-images; mknetboot and mkstatelite of anaconda.pm, sles.pm and debian.pm).
//
// 1. A word contains no blank and no control character, and nothing that iPXE would read as syntax. A value that
//    cannot be such words is an error, never a changed word.
// 2. Without a node, the parameters are those that all nodes of the image share.

import Platform

/// The kernel parameters of an image, in order.
public struct NetbootParameters: Sendable {
  public private(set) var words: [String] = []
  private let subject: String

  /// What determines the parameters.
  public struct Request: Sendable {
    public var image: String
    public var definition: ImageDefinition
    /// The URL of the root image.
    public var imageURL: String
    /// The node; nil for all nodes.
    public var node: String?
    /// Whether the image's partition file makes nodes partition their disks.
    public var makesPartitions = false

    /// Creates a request.
    public init(image: String, definition: ImageDefinition, imageURL: String, node: String? = nil) {
      self.image = image
      self.definition = definition
      self.imageURL = imageURL
      self.node = node
    }
  }

  /// Computes the parameters.
  /// - Throws: `XCATError`: `notFound` for an unknown node, `definitionInvalid` for a value that cannot be passed on;
  ///   the errors of the backend.
  public init(_ request: Request, _ backend: any TableBackend) throws {
    subject = "image \(request.image)"
    var tables = try NodeTables(backend)
    if let node = request.node, tables.groups[node] == nil {
      throw XCATError(
        .notFound, "node \(printable(node.utf8.prefix(255)))", "is not in xCAT's table nodelist",
        hint: "Run 'nodels' to list the nodes")
    }
    func value(_ table: String, _ column: String) throws -> String? {
      try request.node.flatMap { try tables.value(table, column, node: $0) }
    }
    let definition = request.definition
    let isStatelite = definition.provisioning == .statelite
    try add("imgurl=", request.imageURL)
    if isStatelite { try add("STATEMNT=", value("statelite", "statemnt") ?? "") }
    let master = try value("noderes", "xcatmaster") ?? NetbootParameters.bootServer
    try add("XCAT=", master + ":" + (backend.site("xcatdport") ?? "3001"))
    if let node = request.node { try add("NODE=", node) }
    if !isStatelite { try add("FC=", backend.site("useflowcontrol") ?? "0") }
    if ["n", "N", "0"].contains(try backend.site("nodestatus") ?? "") { try add("nonodestatus") }
    try add("XCATHTTPPORT=", backend.site("httpport") ?? "80")
    if let mode = try backend.site("xcatdebugmode"), ["1", "2"].contains(mode) {
      for word in [
        "LOGSERVER=\(master)", "syslog.server=\(master)", "syslog.type=rsyslogd",
        "syslog.filter=*.*", "xcatdebugmode=\(mode)",
      ] { try add(word) }
    }
    if NetbootParameters.isSUSE(definition.osVersion) { try add("ip=dhcp") }
    try addConsole(
      port: value("nodehm", "serialport"), speed: value("nodehm", "serialspeed"),
      flow: value("nodehm", "serialflow") ?? "", architecture: definition.architecture)
    if NetbootParameters.disablesSELinux(definition.osVersion) { try add("selinux=0") }
    try addDump(definition)
    if request.makesPartitions {
      let family = NetbootParameters.isSUSE(definition.osVersion) ? "SLES" : "RH"
      try add(isStatelite ? "PARTITION_\(family)" : "PARTITION_DOMOUNT_\(family)")
    }
    if isStatelite { try add("MNTOPTS=", value("statelite", "mntopts") ?? "") }
    try addExtra(definition.linuximage["addkcmdline"] ?? "")
    // As xnba.pm appends it.
    words.append("BOOTIF=01-${netX/mac:hexhyp}")
  }

  /// iPXE's setting with the address of the boot server, as xnba.pm writes it for '!myipfn!'.
  private static let bootServer = "${next-server}"

  // MARK: Parts

  private mutating func addConsole(
    port: String?, speed: String?, flow: String, architecture: String
  ) throws {
    guard let port else { return }
    guard let speed else {
      throw XCATError(
        .definitionInvalid, subject,
        "cannot be booted: nodehm has a serialport, but no serialspeed",
        hint: "Set it: chdef NODE serialspeed=115200")
    }
    let isHard = ["hard", "tcs", "ctsrts"].contains { flow.contains($0) }
    try add("console=tty0")
    try add(
      "console=\(architecture.contains("ppc64") ? "hvc" : "ttyS")\(port),\(speed)"
        + (isHard ? "n8r" : ""))
  }

  private mutating func addDump(_ definition: ImageDefinition) throws {
    guard let dump = definition.linuximage["dump"] else { return }
    guard !dump.hasPrefix("fadump"), definition.architecture.contains("86") else {
      throw XCATError(
        .definitionInvalid, subject, "has a dump device that only nodeset can set up",
        hint: "Boot it with nodeset, or unset its attribute 'dump'")
    }
    try add("crashkernel=", definition.linuximage["crashkernelsize"] ?? "128M")
    try add("dump=", dump)
  }

  /// Adds `addkcmdline`, without the words for installed systems ("R::").
  private mutating func addExtra(_ text: String) throws {
    for word in text.split(separator: " ") where !word.hasPrefix("R::") { try add(String(word)) }
  }

  private mutating func add(_ name: String, _ value: String = "") throws {
    let word = name + value
    let isPlain = word.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f }
    // iPXE splits a line at these words, and "#" begins a comment (core/exec.c). xCAT fills in #TABLE…#.
    guard isPlain, !["||", "&&", ";"].contains(word), !word.hasPrefix("#"),
      !["#NODEATTRIB:", "#TABLE:", "#CMD="].contains(where: word.contains)
    else {
      throw XCATError(
        .definitionInvalid, subject,
        "has the kernel parameter '\(printable(word.utf8.prefix(255)))', which only nodeset can pass on",
        hint: "Boot it with nodeset, or change addkcmdline or the site table")
    }
    words.append(word)
  }

  // MARK: Distributions

  static func isSUSE(_ version: String) -> Bool {
    ["sles", "suse", "leap"].contains { version.hasPrefix($0) }
  }

  /// Whether nodeset disables SELinux: Red Hat's family from version 7.
  static func disablesSELinux(_ version: String) -> Bool {
    if ["fedora12", "fedora13"].contains(where: version.hasPrefix) { return true }
    for family in ["rhels", "ol", "alma", "rocky"] where version.hasPrefix(family) {
      let major = version.dropFirst(family.count).prefix { $0.isNumber }
      return Int(major).map { (7...10).contains($0) } ?? false
    }
    return false
  }
}
