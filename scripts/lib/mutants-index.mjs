export const indexMutants = [];
