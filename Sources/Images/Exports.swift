// The types and functions of lower modules that belong to the public API of this module. Programs import only
// `Images`. Exports are scoped: each name is listed, so that a program depends on nothing else below.

// Outcomes, and the values in them.
@_exported import struct Apply.ApplyProblem
@_exported import struct Apply.ApplyReport
@_exported import struct Packages.Package
@_exported import enum Platform.ErrorCategory
@_exported import enum Platform.ErrorCode
@_exported import protocol Platform.ExplainedError
@_exported import struct Platform.Failure
@_exported import enum Platform.FileKind
@_exported import struct Platform.InterruptedError
// The process: arguments, threads, signals, terminal and clock.
@_exported import enum Platform.Interruption
@_exported import enum Platform.LockWait
@_exported import class Platform.Monitor
@_exported import class Platform.Progress
@_exported import enum Platform.Quantity
@_exported import enum Platform.ReasonForm
// Text for people and for shells.
@_exported import enum Platform.Spelling
@_exported import struct Platform.SystemError
@_exported import struct Platform.TerminalText
@_exported import struct Platform.Timestamp
@_exported import struct Platform.WallClock
@_exported import var Platform.isRoot
@_exported import func Platform.monotonicSeconds
@_exported import func Platform.prepareProcess
@_exported import func Platform.printable
@_exported import func Platform.programArguments
@_exported import func Platform.shellQuoted
@_exported import func Platform.startDetachedThread
@_exported import func Platform.startThread
@_exported import func Platform.terminalColumns
@_exported import enum Render.SegmentCodec
@_exported import struct Signatures.PublicKey
@_exported import struct Signatures.SigningKey
@_exported import struct Store.CollectionOutcome
@_exported import struct Store.CollectionRequest
@_exported import struct Store.CommittedSnapshot
@_exported import struct Store.DamagedMark
@_exported import struct Store.Entry
@_exported import struct Store.ImageUUID
@_exported import struct Store.LossCounts
@_exported import enum Store.ObjectKind
@_exported import struct Store.RepairOutcome
@_exported import struct Store.Snapshot
@_exported import struct Store.SnapshotName
@_exported import struct Store.TreeChange
@_exported import struct Store.VerifyCoverage
@_exported import struct Store.VerifyReport
@_exported import struct Store.VerifyRequest
@_exported import func Store.precedes
@_exported import func Store.snapshotRanges
// xCAT's command lines.
@_exported import struct XCAT.ImgexportArguments
@_exported import enum XCAT.ImgexportCommandLine
@_exported import struct XCAT.ImgimportArguments
@_exported import enum XCAT.ImgimportCommandLine
@_exported import struct XCAT.LiteimgArguments
@_exported import enum XCAT.LiteimgCommandLine
@_exported import struct XCAT.PackimageArguments
@_exported import enum XCAT.PackimageCommandLine
@_exported import enum XCAT.ParseResult
@_exported import struct XCAT.RemoteFile
@_exported import typealias XCAT.XCATError
@_exported import func XCAT.splitExtra
