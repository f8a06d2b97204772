/*
 * test_api_fields.c - the numbers of joblet.proto, once more and by hand: a number or type that
 * changes breaks every client there is. The list was copied from the interface's specification, not
 * made of the .proto file; what is added is added in both places. protobuf-c's descriptors say
 * what was really built.
 */
#include "unit.h"

#include <stdbool.h>

#include "api/health.pb-c.h"
#include "api/joblet.pb-c.h"
#include "base/cleanup.h"

/* "message number field type"; a message without fields stands alone. [] is repeated, map is
 * map<string, string>. */
static const char *const fields[] = {
    "RunJobRequest 1 name string",
    "RunJobRequest 2 command string",
    "RunJobRequest 3 args []string",
    "RunJobRequest 4 max_cpu int32",
    "RunJobRequest 5 cpu_cores string",
    "RunJobRequest 6 max_memory int32",
    "RunJobRequest 7 max_io_bps int32",
    "RunJobRequest 8 uploads []FileUpload",
    "RunJobRequest 9 schedule string",
    "RunJobRequest 10 network string",
    "RunJobRequest 11 volumes []string",
    "RunJobRequest 12 runtime string",
    "RunJobRequest 13 work_dir string",
    "RunJobRequest 14 environment map",
    "RunJobRequest 15 workflow_uuid string",
    "RunJobRequest 16 job_uuid string",
    "RunJobRequest 17 requirements []JobRequirement",
    "RunJobRequest 18 secret_environment map",
    "RunJobRequest 19 gpu_count int32",
    "RunJobRequest 20 gpu_memory_mb int32",
    "RunJobRequest 100 timeout_seconds int64",
    "RunJobRequest 101 upload_session string",
    "RunJobRequest 102 priority int32",
    "RunJobRequest 103 net_rx_bps int64",
    "RunJobRequest 104 net_tx_bps int64",
    "RunJobRequest 105 tmp_size_bytes int64",
    "RunJobResponse 1 job_uuid string",
    "RunJobResponse 2 status string",
    "RunJobResponse 3 command string",
    "RunJobResponse 4 args []string",
    "RunJobResponse 5 max_cpu int32",
    "RunJobResponse 6 cpu_cores string",
    "RunJobResponse 7 max_memory int32",
    "RunJobResponse 8 max_io_bps int32",
    "RunJobResponse 9 start_time string",
    "RunJobResponse 10 end_time string",
    "RunJobResponse 11 exit_code int32",
    "RunJobResponse 12 scheduled_time string",
    "FileUpload 1 path string",
    "FileUpload 2 content bytes",
    "FileUpload 3 mode uint32",
    "FileUpload 4 is_directory bool",
    "Job 1 uuid string",
    "Job 2 name string",
    "Job 3 command string",
    "Job 4 args []string",
    "Job 5 max_cpu int32",
    "Job 6 cpu_cores string",
    "Job 7 max_memory int32",
    "Job 8 max_io_bps int32",
    "Job 9 status string",
    "Job 10 start_time string",
    "Job 11 end_time string",
    "Job 12 exit_code int32",
    "Job 13 scheduled_time string",
    "Job 14 runtime string",
    "Job 15 environment map",
    "Job 16 secret_environment map",
    "Job 17 gpu_indices []int32",
    "Job 18 gpu_count int32",
    "Job 19 gpu_memory_mb int32",
    "Job 20 node_id string",
    "Job 100 reason string",
    "Job 101 timeout_seconds int64",
    "Job 102 network string",
    "Job 103 volumes []string",
    "Job 104 workflow_uuid string",
    "Job 105 address string",
    "Job 106 created_time string",
    "Jobs 1 jobs []Job",
    "GetJobStatusRequest 1 uuid string",
    "GetJobStatusResponse 1 uuid string",
    "GetJobStatusResponse 2 name string",
    "GetJobStatusResponse 3 command string",
    "GetJobStatusResponse 4 args []string",
    "GetJobStatusResponse 5 max_cpu int32",
    "GetJobStatusResponse 6 cpu_cores string",
    "GetJobStatusResponse 7 max_memory int32",
    "GetJobStatusResponse 8 max_io_bps int32",
    "GetJobStatusResponse 9 status string",
    "GetJobStatusResponse 10 start_time string",
    "GetJobStatusResponse 11 end_time string",
    "GetJobStatusResponse 12 exit_code int32",
    "GetJobStatusResponse 13 scheduled_time string",
    "GetJobStatusResponse 14 environment map",
    "GetJobStatusResponse 15 secret_environment map",
    "GetJobStatusResponse 16 network string",
    "GetJobStatusResponse 17 volumes []string",
    "GetJobStatusResponse 18 runtime string",
    "GetJobStatusResponse 19 work_dir string",
    "GetJobStatusResponse 20 uploads []string",
    "GetJobStatusResponse 21 dependencies []string",
    "GetJobStatusResponse 22 workflow_uuid string",
    "GetJobStatusResponse 23 gpu_indices []int32",
    "GetJobStatusResponse 24 gpu_count int32",
    "GetJobStatusResponse 25 gpu_memory_mb int32",
    "GetJobStatusResponse 26 node_id string",
    "GetJobStatusResponse 100 reason string",
    "GetJobStatusResponse 101 timeout_seconds int64",
    "GetJobStatusResponse 105 result JobResult",
    "GetJobStatusResponse 106 priority int32",
    "GetJobStatusResponse 107 address string",
    "GetJobStatusResponse 108 created_time string",
    "StopJobRequest 1 uuid string",
    "StopJobRequest 100 grace_ms int32",
    "StopJobResponse 1 uuid string",
    "StopJobResponse 2 status string",
    "StopJobResponse 3 end_time string",
    "StopJobResponse 4 exit_code int32",
    "CancelJobRequest 1 uuid string",
    "CancelJobResponse 1 uuid string",
    "CancelJobResponse 2 status string",
    "DeleteJobRequest 1 uuid string",
    "DeleteJobResponse 1 uuid string",
    "DeleteJobResponse 2 success bool",
    "DeleteJobResponse 3 message string",
    "DeleteAllJobsRequest",
    "DeleteAllJobsResponse 1 success bool",
    "DeleteAllJobsResponse 2 message string",
    "DeleteAllJobsResponse 3 deleted_count int32",
    "DeleteAllJobsResponse 4 skipped_count int32",
    "EmptyRequest",
    "Timestamp 1 seconds int64",
    "Timestamp 2 nanos int32",
    "JobRequirement 1 job_uuid string",
    "JobRequirement 2 status string",
    "JobRequirement 3 expression string",
    "GetJobLogsRequest 1 uuid string",
    "GetJobLogsRequest 100 no_follow bool",
    "GetJobLogsRequest 101 from_sequence uint64",
    "GetJobLogsRequest 102 tail_lines int64",
    "DataChunk 1 payload bytes",
    "DataChunk 100 stream int32",
    "DataChunk 101 timestamp int64",
    "DataChunk 102 sequence uint64",
    "DataChunk 103 dropped_bytes uint64",
    "StreamJobMetricsRequest 1 job_uuid string",
    "GetJobMetricsRequest 1 job_uuid string",
    "GetJobMetricsRequest 2 start_time int64",
    "GetJobMetricsRequest 3 end_time int64",
    "GetJobMetricsRequest 4 limit int32",
    "JobMetricsEvent 1 timestamp int64",
    "JobMetricsEvent 2 job_uuid string",
    "JobMetricsEvent 3 cpu_percent double",
    "JobMetricsEvent 4 memory_bytes int64",
    "JobMetricsEvent 5 memory_limit int64",
    "JobMetricsEvent 6 disk_read_bytes int64",
    "JobMetricsEvent 7 disk_write_bytes int64",
    "JobMetricsEvent 8 net_recv_bytes int64",
    "JobMetricsEvent 9 net_sent_bytes int64",
    "JobMetricsEvent 10 gpu_percent double",
    "JobMetricsEvent 11 gpu_memory_bytes int64",
    "JobMetricsEvent 100 cpu_throttled_percent double",
    "JobMetricsEvent 101 cpu_user_usec uint64",
    "JobMetricsEvent 102 cpu_system_usec uint64",
    "JobMetricsEvent 103 memory_peak int64",
    "JobMetricsEvent 104 memory_anon int64",
    "JobMetricsEvent 105 memory_file int64",
    "JobMetricsEvent 106 major_faults uint64",
    "JobMetricsEvent 107 oom_kills uint64",
    "JobMetricsEvent 108 io_read_ops uint64",
    "JobMetricsEvent 109 io_write_ops uint64",
    "JobMetricsEvent 110 pids_current uint64",
    "JobMetricsEvent 111 pids_max uint64",
    "JobMetricsEvent 112 psi_cpu_some10 double",
    "JobMetricsEvent 113 psi_memory_some10 double",
    "JobMetricsEvent 114 psi_io_some10 double",
    "JobMetricsEvent 115 processes uint64",
    "JobMetricsEvent 116 open_files uint64",
    "JobMetricsEvent 117 interval_ns uint64",
    "StreamJobTelematicsRequest 1 job_uuid string",
    "StreamJobTelematicsRequest 2 types []string",
    "GetJobTelematicsRequest 1 job_uuid string",
    "GetJobTelematicsRequest 2 types []string",
    "GetJobTelematicsRequest 3 start_time int64",
    "GetJobTelematicsRequest 4 end_time int64",
    "GetJobTelematicsRequest 5 limit int32",
    "TelematicsEvent 1 timestamp int64",
    "TelematicsEvent 2 job_uuid string",
    "TelematicsEvent 3 type string",
    "TelematicsEvent 10 exec TelematicsExecData oneof data",
    "TelematicsEvent 11 connect TelematicsConnectData oneof data",
    "TelematicsEvent 12 accept TelematicsAcceptData oneof data",
    "TelematicsEvent 13 file TelematicsFileData oneof data",
    "TelematicsEvent 14 mmap TelematicsMmapData oneof data",
    "TelematicsEvent 15 mprotect TelematicsMprotectData oneof data",
    "TelematicsEvent 16 socket_data TelematicsSocketDataData oneof data",
    "TelematicsExecData 1 pid uint32",
    "TelematicsExecData 2 ppid uint32",
    "TelematicsExecData 3 binary string",
    "TelematicsExecData 4 args []string",
    "TelematicsExecData 5 exit_code int32",
    "TelematicsConnectData 1 pid uint32",
    "TelematicsConnectData 2 dst_addr string",
    "TelematicsConnectData 3 dst_port uint32",
    "TelematicsConnectData 4 protocol string",
    "TelematicsConnectData 5 src_addr string",
    "TelematicsConnectData 6 src_port uint32",
    "TelematicsAcceptData 1 pid uint32",
    "TelematicsAcceptData 2 src_addr string",
    "TelematicsAcceptData 3 src_port uint32",
    "TelematicsAcceptData 4 dst_addr string",
    "TelematicsAcceptData 5 dst_port uint32",
    "TelematicsAcceptData 6 protocol string",
    "TelematicsFileData 1 pid uint32",
    "TelematicsFileData 2 path string",
    "TelematicsFileData 3 operation string",
    "TelematicsFileData 4 bytes int64",
    "TelematicsFileData 5 flags uint32",
    "TelematicsMmapData 1 pid uint32",
    "TelematicsMmapData 2 addr uint64",
    "TelematicsMmapData 3 length uint64",
    "TelematicsMmapData 4 prot uint32",
    "TelematicsMmapData 5 flags uint32",
    "TelematicsMmapData 6 file_path string",
    "TelematicsMprotectData 1 pid uint32",
    "TelematicsMprotectData 2 addr uint64",
    "TelematicsMprotectData 3 length uint64",
    "TelematicsMprotectData 4 prot uint32",
    "TelematicsSocketDataData 1 pid uint32",
    "TelematicsSocketDataData 2 direction string",
    "TelematicsSocketDataData 3 dst_addr string",
    "TelematicsSocketDataData 4 dst_port uint32",
    "TelematicsSocketDataData 5 src_addr string",
    "TelematicsSocketDataData 6 src_port uint32",
    "TelematicsSocketDataData 7 protocol string",
    "TelematicsSocketDataData 8 bytes int64",
    "RunWorkflowRequest 1 workflow string",
    "RunWorkflowRequest 2 total_jobs int32",
    "RunWorkflowRequest 3 job_order []string",
    "RunWorkflowRequest 4 yaml_content string",
    "RunWorkflowRequest 5 workflow_files []FileUpload",
    "RunWorkflowRequest 100 name string",
    "RunWorkflowRequest 101 selector string",
    "RunWorkflowRequest 102 environment map",
    "RunWorkflowRequest 103 secret_environment map",
    "RunWorkflowResponse 1 workflow_uuid string",
    "RunWorkflowResponse 2 status string",
    "GetWorkflowStatusRequest 1 workflow_uuid string",
    "GetWorkflowStatusResponse 1 workflow WorkflowInfo",
    "GetWorkflowStatusResponse 2 jobs []WorkflowJob",
    "ListWorkflowsRequest 1 include_completed bool",
    "ListWorkflowsResponse 1 workflows []WorkflowInfo",
    "GetWorkflowJobsRequest 1 workflow_uuid string",
    "GetWorkflowJobsResponse 1 jobs []WorkflowJob",
    "WorkflowInfo 1 uuid string",
    "WorkflowInfo 2 status string",
    "WorkflowInfo 3 total_jobs int32",
    "WorkflowInfo 4 completed_jobs int32",
    "WorkflowInfo 5 failed_jobs int32",
    "WorkflowInfo 6 canceled_jobs int32",
    "WorkflowInfo 7 created_at Timestamp",
    "WorkflowInfo 8 started_at Timestamp",
    "WorkflowInfo 9 completed_at Timestamp",
    "WorkflowInfo 10 yaml_content string",
    "WorkflowInfo 100 name string",
    "WorkflowInfo 101 file string",
    "WorkflowJob 1 job_uuid string",
    "WorkflowJob 2 job_name string",
    "WorkflowJob 3 status string",
    "WorkflowJob 4 dependencies []string",
    "WorkflowJob 5 start_time Timestamp",
    "WorkflowJob 6 end_time Timestamp",
    "WorkflowJob 7 exit_code int32",
    "WorkflowJob 100 reason string",
    "CreateNetworkRequest 1 name string",
    "CreateNetworkRequest 2 cidr string",
    "CreateNetworkResponse 1 name string",
    "CreateNetworkResponse 2 cidr string",
    "CreateNetworkResponse 3 bridge string",
    "Network 1 name string",
    "Network 2 cidr string",
    "Network 3 bridge string",
    "Network 4 job_count int32",
    "Network 100 builtin bool",
    "Network 101 problem string",
    "Networks 1 networks []Network",
    "RemoveNetworkRequest 1 name string",
    "RemoveNetworkResponse 1 success bool",
    "RemoveNetworkResponse 2 message string",
    "CreateVolumeRequest 1 name string",
    "CreateVolumeRequest 2 size string",
    "CreateVolumeRequest 3 type string",
    "CreateVolumeResponse 1 name string",
    "CreateVolumeResponse 2 size string",
    "CreateVolumeResponse 3 type string",
    "CreateVolumeResponse 4 path string",
    "Volume 1 name string",
    "Volume 2 size string",
    "Volume 3 type string",
    "Volume 4 path string",
    "Volume 5 created_time string",
    "Volume 6 job_count int32",
    "Volume 100 used_bytes int64",
    "Volume 101 problem string",
    "Volumes 1 volumes []Volume",
    "RemoveVolumeRequest 1 name string",
    "RemoveVolumeResponse 1 success bool",
    "RemoveVolumeResponse 2 message string",
    "StreamMetricsRequest 1 interval_seconds int32",
    "StreamMetricsRequest 2 metric_types []string",
    "SystemStatusResponse 1 timestamp string",
    "SystemStatusResponse 2 available bool",
    "SystemStatusResponse 3 host HostInfo",
    "SystemStatusResponse 4 cpu CPUMetrics",
    "SystemStatusResponse 5 memory MemoryMetrics",
    "SystemStatusResponse 6 disks []DiskMetrics",
    "SystemStatusResponse 7 networks []NetworkMetrics",
    "SystemStatusResponse 8 io IOMetrics",
    "SystemStatusResponse 9 processes ProcessMetrics",
    "SystemStatusResponse 10 cloud CloudInfo",
    "SystemStatusResponse 11 server_version ServerVersionInfo",
    "SystemMetricsResponse 1 timestamp string",
    "SystemMetricsResponse 2 host HostInfo",
    "SystemMetricsResponse 3 cpu CPUMetrics",
    "SystemMetricsResponse 4 memory MemoryMetrics",
    "SystemMetricsResponse 5 disks []DiskMetrics",
    "SystemMetricsResponse 6 networks []NetworkMetrics",
    "SystemMetricsResponse 7 io IOMetrics",
    "SystemMetricsResponse 8 processes ProcessMetrics",
    "SystemMetricsResponse 9 cloud CloudInfo",
    "HostInfo 1 hostname string",
    "HostInfo 2 os string",
    "HostInfo 3 platform string",
    "HostInfo 4 platform_family string",
    "HostInfo 5 platform_version string",
    "HostInfo 6 kernel_version string",
    "HostInfo 7 kernel_arch string",
    "HostInfo 8 architecture string",
    "HostInfo 9 cpu_count int32",
    "HostInfo 10 total_memory int64",
    "HostInfo 11 boot_time string",
    "HostInfo 12 uptime int64",
    "HostInfo 13 node_id string",
    "HostInfo 14 server_ips []string",
    "HostInfo 15 mac_addresses []string",
    "CPUMetrics 1 cores int32",
    "CPUMetrics 2 usage_percent double",
    "CPUMetrics 3 user_time double",
    "CPUMetrics 4 system_time double",
    "CPUMetrics 5 idle_time double",
    "CPUMetrics 6 io_wait_time double",
    "CPUMetrics 7 steal_time double",
    "CPUMetrics 8 load_average []double",
    "CPUMetrics 9 per_core_usage []double",
    "CPUMetrics 100 model string",
    "CPUMetrics 101 frequency_mhz double",
    "CPUMetrics 102 temperature_celsius double",
    "MemoryMetrics 1 total_bytes int64",
    "MemoryMetrics 2 used_bytes int64",
    "MemoryMetrics 3 free_bytes int64",
    "MemoryMetrics 4 available_bytes int64",
    "MemoryMetrics 5 usage_percent double",
    "MemoryMetrics 6 cached_bytes int64",
    "MemoryMetrics 7 buffered_bytes int64",
    "MemoryMetrics 8 swap_total int64",
    "MemoryMetrics 9 swap_used int64",
    "MemoryMetrics 10 swap_free int64",
    "DiskMetrics 1 device string",
    "DiskMetrics 2 mount_point string",
    "DiskMetrics 3 filesystem string",
    "DiskMetrics 4 total_bytes int64",
    "DiskMetrics 5 used_bytes int64",
    "DiskMetrics 6 free_bytes int64",
    "DiskMetrics 7 usage_percent double",
    "DiskMetrics 8 inodes_total int64",
    "DiskMetrics 9 inodes_used int64",
    "DiskMetrics 10 inodes_free int64",
    "DiskMetrics 11 inodes_usage_percent double",
    "DiskMetrics 100 read_rate double",
    "DiskMetrics 101 write_rate double",
    "DiskMetrics 102 iops double",
    "NetworkMetrics 1 interface string",
    "NetworkMetrics 2 bytes_received int64",
    "NetworkMetrics 3 bytes_sent int64",
    "NetworkMetrics 4 packets_received int64",
    "NetworkMetrics 5 packets_sent int64",
    "NetworkMetrics 6 errors_in int64",
    "NetworkMetrics 7 errors_out int64",
    "NetworkMetrics 8 drops_in int64",
    "NetworkMetrics 9 drops_out int64",
    "NetworkMetrics 10 receive_rate double",
    "NetworkMetrics 11 transmit_rate double",
    "NetworkMetrics 12 ip_addresses []string",
    "NetworkMetrics 13 mac_address string",
    "NetworkMetrics 100 type string",
    "NetworkMetrics 101 status string",
    "NetworkMetrics 102 speed_mbps int64",
    "NetworkMetrics 103 mtu int32",
    "IOMetrics 1 total_reads int64",
    "IOMetrics 2 total_writes int64",
    "IOMetrics 3 read_bytes int64",
    "IOMetrics 4 write_bytes int64",
    "IOMetrics 5 read_rate double",
    "IOMetrics 6 write_rate double",
    "IOMetrics 7 disk_io []DiskIOMetrics",
    "DiskIOMetrics 1 device string",
    "DiskIOMetrics 2 reads_completed int64",
    "DiskIOMetrics 3 writes_completed int64",
    "DiskIOMetrics 4 read_bytes int64",
    "DiskIOMetrics 5 write_bytes int64",
    "DiskIOMetrics 6 read_time int64",
    "DiskIOMetrics 7 write_time int64",
    "DiskIOMetrics 8 io_time int64",
    "DiskIOMetrics 9 utilization double",
    "DiskIOMetrics 100 read_rate double",
    "DiskIOMetrics 101 write_rate double",
    "DiskIOMetrics 102 iops double",
    "ProcessMetrics 1 total_processes int32",
    "ProcessMetrics 2 running_processes int32",
    "ProcessMetrics 3 sleeping_processes int32",
    "ProcessMetrics 4 stopped_processes int32",
    "ProcessMetrics 5 zombie_processes int32",
    "ProcessMetrics 6 total_threads int32",
    "ProcessMetrics 7 top_by_cpu []ProcessInfo",
    "ProcessMetrics 8 top_by_memory []ProcessInfo",
    "ProcessInfo 1 pid int32",
    "ProcessInfo 2 ppid int32",
    "ProcessInfo 3 name string",
    "ProcessInfo 4 command string",
    "ProcessInfo 5 cpu_percent double",
    "ProcessInfo 6 memory_percent double",
    "ProcessInfo 7 memory_bytes int64",
    "ProcessInfo 8 status string",
    "ProcessInfo 9 start_time string",
    "ProcessInfo 10 user string",
    "ProcessInfo 100 threads int32",
    "CloudInfo 1 provider string",
    "CloudInfo 2 region string",
    "CloudInfo 3 zone string",
    "CloudInfo 4 instance_id string",
    "CloudInfo 5 instance_type string",
    "CloudInfo 6 hypervisor_type string",
    "CloudInfo 7 metadata map",
    "ServerVersionInfo 1 version string",
    "ServerVersionInfo 2 git_commit string",
    "ServerVersionInfo 3 git_tag string",
    "ServerVersionInfo 4 build_date string",
    "ServerVersionInfo 5 component string",
    "ServerVersionInfo 6 go_version string",
    "ServerVersionInfo 7 platform string",
    "ServerVersionInfo 8 proto_commit string",
    "ServerVersionInfo 9 proto_tag string",
    "ListRuntimesResponse 1 runtimes []RuntimeInfo",
    "RuntimeInfo 1 name string",
    "RuntimeInfo 2 language string",
    "RuntimeInfo 3 version string",
    "RuntimeInfo 4 description string",
    "RuntimeInfo 5 size_bytes int64",
    "RuntimeInfo 6 packages []string",
    "RuntimeInfo 7 available bool",
    "RuntimeInfo 8 requirements RuntimeRequirements",
    "RuntimeInfo 9 language_version string",
    "RuntimeInfo 10 libraries []string",
    "RuntimeInfo 11 environment map",
    "RuntimeInfo 12 build_info RuntimeBuildInfo",
    "RuntimeInfo 13 original_yaml string",
    "RuntimeInfo 100 type string",
    "RuntimeInfo 101 install_path string",
    "RuntimeRequirements 1 architectures []string",
    "RuntimeRequirements 2 gpu bool",
    "RuntimeRequirements 100 min_memory string",
    "RuntimeRequirements 101 recommended_memory string",
    "RuntimeRequirements 102 cuda_version string",
    "RuntimeBuildInfo 1 built_at string",
    "RuntimeBuildInfo 2 built_with string",
    "RuntimeBuildInfo 3 platform string",
    "GetRuntimeInfoRequest 1 runtime string",
    "GetRuntimeInfoResponse 1 runtime RuntimeInfo",
    "GetRuntimeInfoResponse 2 found bool",
    "TestRuntimeRequest 1 runtime string",
    "TestRuntimeResponse 2 success bool",
    "TestRuntimeResponse 3 output string",
    "TestRuntimeResponse 4 error string",
    "TestRuntimeResponse 5 exit_code int32",
    "RemoveRuntimeRequest 1 runtime string",
    "RemoveRuntimeResponse 1 success bool",
    "RemoveRuntimeResponse 2 message string",
    "RemoveRuntimeResponse 3 freed_space_bytes int64",
    "BuildRuntimeRequest 1 yaml_content string",
    "BuildRuntimeRequest 2 dry_run bool",
    "BuildRuntimeRequest 3 verbose bool",
    "BuildRuntimeRequest 4 force_rebuild bool",
    "BuildRuntimeProgress 1 phase BuildPhaseProgress oneof progress_type",
    "BuildRuntimeProgress 2 log BuildLogLine oneof progress_type",
    "BuildRuntimeProgress 3 result BuildResult oneof progress_type",
    "BuildPhaseProgress 1 phase_number int32",
    "BuildPhaseProgress 2 total_phases int32",
    "BuildPhaseProgress 3 phase_name string",
    "BuildPhaseProgress 4 message string",
    "BuildLogLine 1 level string",
    "BuildLogLine 2 message string",
    "BuildLogLine 3 timestamp int64",
    "BuildResult 1 success bool",
    "BuildResult 2 message string",
    "BuildResult 3 runtime_name string",
    "BuildResult 4 runtime_version string",
    "BuildResult 5 install_path string",
    "BuildResult 6 size_bytes int64",
    "BuildResult 7 build_duration_ms int64",
    "ValidateRuntimeYAMLRequest 1 yaml_content string",
    "ValidateRuntimeYAMLResponse 1 valid bool",
    "ValidateRuntimeYAMLResponse 2 message string",
    "ValidateRuntimeYAMLResponse 3 errors []string",
    "ValidateRuntimeYAMLResponse 4 warnings []string",
    "ValidateRuntimeYAMLResponse 5 spec_info RuntimeYAMLInfo",
    "RuntimeYAMLInfo 1 name string",
    "RuntimeYAMLInfo 2 version string",
    "RuntimeYAMLInfo 3 language string",
    "RuntimeYAMLInfo 4 language_version string",
    "RuntimeYAMLInfo 5 description string",
    "RuntimeYAMLInfo 6 pip_packages []string",
    "RuntimeYAMLInfo 7 npm_packages []string",
    "RuntimeYAMLInfo 8 has_hooks bool",
    "RuntimeYAMLInfo 9 requires_gpu bool",
    "RuntimeYAMLInfo 100 platforms []string",
    "RuntimeYAMLInfo 101 libraries []string",
    "JobResult 1 signal int32",
    "JobResult 2 oom bool",
    "JobResult 3 timeout bool",
    "JobResult 4 cpu_user_usec uint64",
    "JobResult 5 cpu_system_usec uint64",
    "JobResult 6 memory_peak uint64",
    "JobResult 7 io_read_bytes uint64",
    "JobResult 8 io_write_bytes uint64",
    "JobResult 9 pids_peak uint64",
    "JobResult 10 psi_cpu_some_usec uint64",
    "JobResult 11 psi_memory_some_usec uint64",
    "JobResult 12 psi_io_some_usec uint64",
    "JobResult 13 start_error string",
    "ValidateWorkflowResponse 1 valid bool",
    "ValidateWorkflowResponse 2 errors []string",
    "ValidateWorkflowResponse 3 warnings []string",
    "ValidateWorkflowResponse 4 missing_volumes []string",
    "ValidateWorkflowResponse 5 missing_networks []string",
    "ValidateWorkflowResponse 6 missing_runtimes []string",
    "WorkflowRef 1 workflow_uuid string",
    "UploadChunk 1 path string",
    "UploadChunk 2 mode uint32",
    "UploadChunk 3 is_directory bool",
    "UploadChunk 4 data bytes",
    "UploadChunk 5 eof bool",
    "StageUploadsResponse 1 upload_session string",
    "StageUploadsResponse 2 files int32",
    "StageUploadsResponse 3 bytes int64",
};

/* "service.method request response" */
static const char *const methods[] = {
    "JobService.RunJob RunJobRequest RunJobResponse",
    "JobService.GetJobStatus GetJobStatusRequest GetJobStatusResponse",
    "JobService.StopJob StopJobRequest StopJobResponse",
    "JobService.CancelJob CancelJobRequest CancelJobResponse",
    "JobService.DeleteJob DeleteJobRequest DeleteJobResponse",
    "JobService.DeleteAllJobs DeleteAllJobsRequest DeleteAllJobsResponse",
    "JobService.GetJobLogs GetJobLogsRequest DataChunk",
    "JobService.ListJobs EmptyRequest Jobs",
    "JobService.StreamJobMetrics StreamJobMetricsRequest JobMetricsEvent",
    "JobService.GetJobMetrics GetJobMetricsRequest JobMetricsEvent",
    "JobService.StreamJobTelematics StreamJobTelematicsRequest TelematicsEvent",
    "JobService.GetJobTelematics GetJobTelematicsRequest TelematicsEvent",
    "JobService.RunWorkflow RunWorkflowRequest RunWorkflowResponse",
    "JobService.GetWorkflowStatus GetWorkflowStatusRequest GetWorkflowStatusResponse",
    "JobService.ListWorkflows ListWorkflowsRequest ListWorkflowsResponse",
    "JobService.GetWorkflowJobs GetWorkflowJobsRequest GetWorkflowJobsResponse",
    "JobService.StageUploads UploadChunk StageUploadsResponse",
    "JobService.StopWorkflow WorkflowRef WorkflowInfo",
    "JobService.DeleteWorkflow WorkflowRef DeleteJobResponse",
    "JobService.ValidateWorkflow RunWorkflowRequest ValidateWorkflowResponse",
    "NetworkService.CreateNetwork CreateNetworkRequest CreateNetworkResponse",
    "NetworkService.ListNetworks EmptyRequest Networks",
    "NetworkService.RemoveNetwork RemoveNetworkRequest RemoveNetworkResponse",
    "VolumeService.CreateVolume CreateVolumeRequest CreateVolumeResponse",
    "VolumeService.ListVolumes EmptyRequest Volumes",
    "VolumeService.RemoveVolume RemoveVolumeRequest RemoveVolumeResponse",
    "MonitoringService.GetSystemStatus EmptyRequest SystemStatusResponse",
    "MonitoringService.StreamSystemMetrics StreamMetricsRequest SystemMetricsResponse",
    "RuntimeService.ListRuntimes EmptyRequest ListRuntimesResponse",
    "RuntimeService.GetRuntimeInfo GetRuntimeInfoRequest GetRuntimeInfoResponse",
    "RuntimeService.TestRuntime TestRuntimeRequest TestRuntimeResponse",
    "RuntimeService.RemoveRuntime RemoveRuntimeRequest RemoveRuntimeResponse",
    "RuntimeService.BuildRuntime BuildRuntimeRequest BuildRuntimeProgress",
    "RuntimeService.ValidateRuntimeYAML ValidateRuntimeYAMLRequest ValidateRuntimeYAMLResponse",
};

#define MESSAGES_MAX 256
static const ProtobufCMessageDescriptor *seen[MESSAGES_MAX];
static size_t n_seen;
static bool used[JL_COUNT(fields)];

static const char *type_name(const ProtobufCFieldDescriptor *f)
{
    static const char *const names[] = {
        [PROTOBUF_C_TYPE_INT32] = "int32",   [PROTOBUF_C_TYPE_SINT32] = "sint32",
        [PROTOBUF_C_TYPE_INT64] = "int64",   [PROTOBUF_C_TYPE_SINT64] = "sint64",
        [PROTOBUF_C_TYPE_UINT32] = "uint32", [PROTOBUF_C_TYPE_FIXED32] = "fixed32",
        [PROTOBUF_C_TYPE_UINT64] = "uint64", [PROTOBUF_C_TYPE_FIXED64] = "fixed64",
        [PROTOBUF_C_TYPE_FLOAT] = "float",   [PROTOBUF_C_TYPE_DOUBLE] = "double",
        [PROTOBUF_C_TYPE_BOOL] = "bool",     [PROTOBUF_C_TYPE_ENUM] = "enum",
        [PROTOBUF_C_TYPE_STRING] = "string", [PROTOBUF_C_TYPE_BYTES] = "bytes",
    };

    if (f->type == PROTOBUF_C_TYPE_MESSAGE)
        return ((const ProtobufCMessageDescriptor *) f->descriptor)->short_name;
    return f->type < JL_COUNT(names) && names[f->type] ? names[f->type] : "?";
}

/* protoc makes a message NameEntry {1 key, 2 value} of a map. */
static bool is_map(const ProtobufCFieldDescriptor *f)
{
    const ProtobufCMessageDescriptor *m = f->descriptor;
    size_t n;

    if (f->type != PROTOBUF_C_TYPE_MESSAGE || f->label != PROTOBUF_C_LABEL_REPEATED)
        return false;
    n = strlen(m->short_name);
    return n > 5 && strcmp(m->short_name + n - 5, "Entry") == 0 && m->n_fields == 2 &&
           strcmp(m->fields[0].name, "key") == 0 && m->fields[0].id == 1 &&
           m->fields[0].type == PROTOBUF_C_TYPE_STRING && strcmp(m->fields[1].name, "value") == 0 &&
           m->fields[1].id == 2 && m->fields[1].type == PROTOBUF_C_TYPE_STRING;
}

static void expect_row(const char *row)
{
    for (size_t i = 0; i < JL_COUNT(fields); i++) {
        size_t n = strcspn(fields[i], "\0");
        const char *oneof = strstr(fields[i], " oneof ");

        if (oneof)
            n = (size_t) (oneof - fields[i]);
        if (strncmp(fields[i], row, n) == 0 && !row[n]) {
            used[i] = true;
            return;
        }
    }
    fail_msg("the .proto has '%s', the list has not", row);
}

static void visit(const ProtobufCMessageDescriptor *m)
{
    char row[256];

    for (size_t i = 0; i < n_seen; i++)
        if (seen[i] == m)
            return;
    assert_true(n_seen < MESSAGES_MAX);
    seen[n_seen++] = m;
    if (m->n_fields == 0)
        expect_row(m->short_name);
    for (unsigned i = 0; i < m->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &m->fields[i];
        bool map = is_map(f);
        bool repeated = f->label == PROTOBUF_C_LABEL_REPEATED;

        snprintf(row, sizeof row, "%s %u %s %s%s", m->short_name, f->id, f->name,
                 repeated && !map ? "[]" : "", map ? "map" : type_name(f));
        expect_row(row);
        if (f->type == PROTOBUF_C_TYPE_MESSAGE && !map)
            visit(f->descriptor);
    }
}

static const ProtobufCServiceDescriptor *const services[] = {
    &joblet__job_service__descriptor,     &joblet__network_service__descriptor,
    &joblet__volume_service__descriptor,  &joblet__monitoring_service__descriptor,
    &joblet__runtime_service__descriptor,
};

static void every_field_has_its_number_and_type(void **state)
{
    (void) state;
    for (size_t i = 0; i < JL_COUNT(services); i++)
        for (unsigned k = 0; k < services[i]->n_methods; k++) {
            visit(services[i]->methods[k].input);
            visit(services[i]->methods[k].output);
        }
    for (size_t i = 0; i < JL_COUNT(fields); i++)
        if (!used[i])
            fail_msg("the list has '%s', the .proto has not", fields[i]);
}

static void members_of_a_oneof_share_it(void **state)
{
    (void) state;
    for (size_t i = 0; i < n_seen; i++)
        for (unsigned k = 0; k < seen[i]->n_fields; k++) {
            const ProtobufCFieldDescriptor *f = &seen[i]->fields[k];
            char key[256];
            bool listed = false;

            snprintf(key, sizeof key, "%s %u %s ", seen[i]->short_name, f->id, f->name);
            for (size_t r = 0; r < JL_COUNT(fields); r++)
                if (strncmp(fields[r], key, strlen(key)) == 0)
                    listed = strstr(fields[r], " oneof ") != NULL;
            if (listed != ((f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0))
                fail_msg("%sis in a oneof in one of list and .proto alone", key);
        }
}

static void every_method_has_its_name_and_types(void **state)
{
    size_t n = 0;

    (void) state;
    for (size_t i = 0; i < JL_COUNT(services); i++)
        for (unsigned k = 0; k < services[i]->n_methods; k++, n++) {
            const ProtobufCMethodDescriptor *m = &services[i]->methods[k];
            char row[256];
            bool found = false;

            assert_string_equal(services[i]->package, "joblet");
            snprintf(row, sizeof row, "%s.%s %s %s", services[i]->short_name, m->name,
                     m->input->short_name, m->output->short_name);
            for (size_t r = 0; r < JL_COUNT(methods); r++)
                found = found || strcmp(methods[r], row) == 0;
            if (!found)
                fail_msg("the .proto has '%s', the list has not", row);
        }
    assert_int_equal(n, JL_COUNT(methods));
}

static void the_health_service_is_grpcs(void **state)
{
    const ProtobufCMethodDescriptor *m = &grpc__health__v1__health__descriptor.methods[0];

    (void) state;
    assert_string_equal(grpc__health__v1__health__descriptor.name, "grpc.health.v1.Health");
    assert_string_equal(m->name, "Check");
    assert_int_equal(m->input->fields[0].id, 1);
    assert_string_equal(m->input->fields[0].name, "service");
    assert_int_equal(m->output->fields[0].id, 1);
    assert_int_equal(GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING, 1);
    assert_int_equal(GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__NOT_SERVING, 2);
}

UNIT_MAIN(cmocka_unit_test(every_field_has_its_number_and_type),
          cmocka_unit_test(members_of_a_oneof_share_it),
          cmocka_unit_test(every_method_has_its_name_and_types),
          cmocka_unit_test(the_health_service_is_grpcs))
