/**
 * Answers of an Enterprise Manager, made up: names, ids and times are nobody's.
 * @module
 */

const GRID = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday']
  .map((day) => `<Day Name="${day}">${Array.from({ length: 24 }, () => 1).join(',')}</Day>`)
  .join('');

const BRANCHES = `
  <RetryOptions><RetryTimes>3</RetryTimes><RetryTimeout>10</RetryTimeout><RetrySpecified>true</RetrySpecified></RetryOptions>
  <WaitForBackupCompletion>true</WaitForBackupCompletion>
  <BackupCompetitionWaitingPeriodMin>180</BackupCompetitionWaitingPeriodMin>
  <OptionsDaily Enabled="true">
    <Kind>SelectedDays</Kind><Days>Tuesday</Days><Days>Friday</Days>
    <Time>21:15:00.0000000+02:00</Time><TimeOffsetUtc>2</TimeOffsetUtc>
  </OptionsDaily>
  <OptionsMonthly Enabled="false">
    <Time>22:00:00.0000000+02:00</Time><TimeOffsetUtc>2</TimeOffsetUtc>
    <DayNumberInMonth>Fourth</DayNumberInMonth><DayOfWeek>Saturday</DayOfWeek>
    <Months>January</Months><DayOfMonth>1</DayOfMonth>
  </OptionsMonthly>
  <OptionsPeriodically Enabled="false"><Kind>Hours</Kind><FullPeriod>4</FullPeriod><Schedule>${GRID}</Schedule></OptionsPeriodically>
  <OptionsContinuous Enabled="false"><Schedule>${GRID}</Schedule></OptionsContinuous>
  <OptionsBackupWindow Enabled="true"><TimePeriods>${GRID}</TimePeriods></OptionsBackupWindow>
  <OptionsDaisyChaining Enabled="false"><PreviousJobUid/></OptionsDaisyChaining>`;

/** A job, with the schedule's branches inside of `Standart` or without it. */
export function jobXml(
  options: { readonly nested?: boolean; readonly branches?: (xml: string) => string } = {},
): string {
  const { nested = true, branches = (xml) => xml } = options;
  const inner = branches(BRANCHES);
  return `<?xml version="1.0" encoding="utf-8"?>
<Job xmlns="http://www.veeam.com/ent/v1.0" Type="Job" Href="http://inside:9399/api/jobs/6a0c1f5e-1111-4222-8333-944455566677?format=Entity"
  Name="GOLD" UID="urn:veeam:Job:6a0c1f5e-1111-4222-8333-944455566677">
  <Links>
    <Link Rel="Up" Type="BackupServerReference" Href="http://inside:9399/api/backupServers/7b0c1f5e-1111-4222-8333-944455566677" Name="b1"/>
  </Links>
  <JobType>Backup</JobType>
  <Platform>VMware</Platform>
  <Description>a template</Description>
  <ScheduleConfigured>true</ScheduleConfigured>
  <ScheduleEnabled>false</ScheduleEnabled>
  <JobScheduleOptions>${nested ? `<Standart>${inner}</Standart>` : inner}</JobScheduleOptions>
  <JobInfo>
    <BackupJobInfo>
      <GfsRetentionPolicy Enabled="true">
        <Weekly><Enabled>true</Enabled><RetentionPeriod>4</RetentionPeriod><SelectedDay>Sunday</SelectedDay></Weekly>
      </GfsRetentionPolicy>
      <SimpleRetentionPolicy>
        <RetainCycles>14</RetainCycles><RetainDaysToKeep>7</RetainDaysToKeep><RetainLimitType>Cycles</RetainLimitType>
      </SimpleRetentionPolicy>
    </BackupJobInfo>
  </JobInfo>
</Job>`;
}

export const TASK_SESSION = `
<BackupTaskSession xmlns="http://www.veeam.com/ent/v1.0" Type="BackupTaskSession" Name="web-1@2026-01-10 21:15:20"
  UID="urn:veeam:BackupTaskSession:1a0c1f5e-1111-4222-8333-944455566677" VmDisplayName="web-1">
  <Links>
    <Link Rel="Up" Type="BackupJobSessionReference" Href="http://inside:9399/api/backupSessions/2a0c1f5e-1111-4222-8333-944455566677"/>
    <Link Rel="Related" Type="VmRestorePoint" Href="http://inside:9399/api/vmRestorePoints/3a0c1f5e-1111-4222-8333-944455566677?format=Entity"/>
  </Links>
  <JobSessionUid>urn:veeam:BackupJobSession:2a0c1f5e-1111-4222-8333-944455566677</JobSessionUid>
  <CreationTimeUTC>2026-01-10T21:15:20.123456Z</CreationTimeUTC>
  <EndTimeUTC>2026-01-10T21:20:20.5Z</EndTimeUTC>
  <State>Completed</State>
  <Result>Warning</Result>
  <Reason>changed block tracking is off</Reason>
  <TotalSize>1073741824</TotalSize>
  <VmUid>urn:VMware:VM:4a0c1f5e-1111-4222-8333-944455566677.vm-12</VmUid>
</BackupTaskSession>`;

export const RESTORE_SESSION = `
<RestoreSession xmlns="http://www.veeam.com/ent/v1.0" Type="RestoreSession" Name="web-1@2026-01-11 08:00:00"
  UID="urn:veeam:RestoreSession:5a0c1f5e-1111-4222-8333-944455566677" VmDisplayName="web-1">
  <Links>
    <Link Rel="Related" Type="VmRestorePointReference" Href="http://inside:9399/api/vmRestorePoints/3a0c1f5e-1111-4222-8333-944455566677"/>
  </Links>
  <JobType>RestoreVm</JobType>
  <CreationTimeUTC>2026-01-11T08:00:00Z</CreationTimeUTC>
  <EndTimeUTC>2026-01-11T08:05:00Z</EndTimeUTC>
  <State>Stopped</State>
  <Result>Success</Result>
  <Progress>100</Progress>
  <RestoredObjRef>urn:VMware:Vm:4a0c1f5e-1111-4222-8333-944455566677.vm-77</RestoredObjRef>
</RestoreSession>`;

export const TASK = `<Task Type="Task" Href="http://inside:9399/api/tasks/task-9">
  <Links><Link Rel="Related" Type="Job" Href="http://inside:9399/api/jobs/6a0c1f5e-1111-4222-8333-944455566677"/></Links>
  <TaskId>task-9</TaskId><State>Finished</State><Operation>CloneJob</Operation>
  <Result Success="true"><Message>Ok</Message></Result>
</Task>`;

export const POINT = `<VmRestorePoint Type="VmRestorePoint" Name="web-1@2026-01-10 21:15:20" VmDisplayName="web-1"
  UID="urn:veeam:VmRestorePoint:3a0c1f5e-1111-4222-8333-944455566677">
  <Links>
    <Link Rel="Up" Type="RestorePointReference" Href="http://inside:9399/api/restorePoints/8a0c1f5e-1111-4222-8333-944455566677"/>
    <Link Rel="Up" Type="BackupFileReference" Href="http://inside:9399/api/backupFiles/9a0c1f5e-1111-4222-8333-944455566677"/>
  </Links>
  <CreationTimeUTC>2026-01-10T21:15:20.209913Z</CreationTimeUTC><Algorithm>Full</Algorithm><PointType>Full</PointType>
  <HierarchyObjRef>urn:VMware:Vm:4a0c1f5e-1111-4222-8333-944455566677.vm-12</HierarchyObjRef>
</VmRestorePoint>`;

export const HIERARCHY_ROOT = `<HierarchyRoot Type="HierarchyRoot" Name="vcenter"
  UID="urn:veeam:HierarchyRoot:4a0c1f5e-1111-4222-8333-944455566677">
  <Links>
    <Link Rel="Up" Type="BackupServerReference" Href="http://inside:9399/api/backupServers/7b0c1f5e-1111-4222-8333-944455566677"/>
  </Links>
  <HierarchyRootId>4a0c1f5e-1111-4222-8333-944455566677</HierarchyRootId><UniqueId>U-1</UniqueId><HostType>VC</HostType>
</HierarchyRoot>`;

export const HIERARCHY_ITEMS = `<HierarchyItems>
  <HierarchyItem Type="HierarchyItem">
    <ObjectRef>urn:VMware:Vm:4a0c1f5e-1111-4222-8333-944455566677.vm-12</ObjectRef>
    <ObjectType>Vm</ObjectType><ObjectName>web-1</ObjectName>
  </HierarchyItem>
</HierarchyItems>`;
