/** Names that the runtime knows only as another's alias, and that servers of today write. */
const LATER_NAMES = [
  'Africa/Asmara',
  'America/Argentina/Buenos_Aires',
  'America/Nuuk',
  'Asia/Ho_Chi_Minh',
  'Asia/Kathmandu',
  'Asia/Kolkata',
  'Asia/Yangon',
  'Atlantic/Faroe',
  'Europe/Kyiv',
  'Pacific/Chuuk',
  'Pacific/Pohnpei',
];

/** The IANA names that the server takes, and lists; their case matters, as on a Java server. */
export const TIME_ZONE_IDS: readonly string[] = [
  ...new Set(['UTC', 'Etc/UTC', 'GMT', ...Intl.supportedValuesOf('timeZone'), ...LATER_NAMES]),
].toSorted();

const known = new Set(TIME_ZONE_IDS);
export const isTimeZoneId = (id: string): boolean => known.has(id);
